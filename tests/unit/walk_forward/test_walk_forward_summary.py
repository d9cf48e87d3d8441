from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from mlforge.spec import UseCase
from mlforge.walk_forward.ledger import WalkRecord, WeekRecord
from mlforge.walk_forward.page import walk_page
from mlforge.walk_forward.summary import compare, summarize

FIRST = date(2013, 1, 7)
POLICIES = ("never", "expanding", "sliding", "on_drift")
NOW = datetime(2013, 12, 31, tzinfo=UTC)


def walk(policies: tuple[str, ...] = POLICIES, metric: str = "log_loss") -> WalkRecord:
    details = {"metric": metric, "policies": list(policies), "<b>": "</script>"}
    return WalkRecord(1, "flight_delays", "w", "s", metric, list(policies), details, FIRST, None, NOW)


def record(
    policy: str, place: int, loss: float, *, trained: bool = True, seconds: float = 10, rows: int = 100
) -> WeekRecord:
    week = FIRST + timedelta(days=7 * place)
    as_of = datetime.combine(week, datetime.min.time(), UTC)
    return WeekRecord(
        walk_week_id=place, walk_id=1, week=week, policy=policy, inputs="i", walk_model_id=1, trained=trained,
        reason="<i>because</i>", drift={}, rows=rows, rows_hash="h", label_mean=0.2, loss=loss, value=loss,
        metrics={"log_loss": loss}, assemble_seconds=1 if trained else 0, train_seconds=seconds if trained else 0,
        check_seconds=0, run_id=None, recorded_at=NOW, model_hash="m", as_of=as_of, training_rows=1000,
        training_hash="t",
    )  # fmt: skip


def year(gains: dict[str, float], *, weeks: int = 40, noise: float = 0.01) -> list[WeekRecord]:
    """Return weeks in which each policy is better than never by so much, all of them noisy together."""
    generator = np.random.default_rng(1)
    shared = 0.5 + generator.normal(0, 0.05, weeks)
    records = []
    for policy, gain in gains.items():
        own = generator.normal(0, noise, weeks)
        for place in range(weeks):
            trained = policy in ("expanding", "sliding") or place == 0 or (policy == "on_drift" and place % 8 == 0)
            seconds = {"expanding": 30.0, "sliding": 10.0}.get(policy, 10.0)
            records.append(record(policy, place, shared[place] - gain + own[place], trained=trained, seconds=seconds))
    return records


def test_the_policy_that_is_surely_better_pays() -> None:
    found = summarize(walk(), year({"never": 0, "expanding": 0.01, "sliding": 0.05, "on_drift": 0.01}))
    assert found.winner == "sliding"
    assert found.conclusion.startswith("sliding pays: log_loss")
    assert "40 trainings" in found.conclusion
    by_name = {each.policy: each for each in found.policies}
    assert by_name["sliding"].against is not None
    assert by_name["sliding"].against.better
    assert by_name["sliding"].against.difference == pytest.approx(-0.05, abs=0.01)
    assert by_name["never"].against is None
    assert by_name["never"].trainings == 1
    assert by_name["on_drift"].trainings == 5


def test_of_two_that_cannot_be_told_apart_the_cheaper_one_pays() -> None:
    found = summarize(walk(), year({"never": 0, "expanding": 0.0505, "sliding": 0.03, "on_drift": 0.05}))
    assert found.winner == "on_drift"
    assert "no sure difference" in found.conclusion


def test_where_nothing_helps_never_pays() -> None:
    found = summarize(walk(), year({"never": 0, "expanding": 0, "sliding": 0, "on_drift": 0}))
    assert found.winner == "never"
    assert "does not pay" in found.conclusion


def test_few_weeks_say_nothing() -> None:
    found = summarize(walk(), year({policy: 0.1 for policy in POLICIES}, weeks=7))
    assert found.winner is None
    assert found.conclusion == "7 of the 8 weeks are scored that a statement needs."
    assert summarize(walk(), []).policies == ()


def test_weeks_weigh_by_their_rows_and_only_those_that_all_policies_have_count() -> None:
    pair = walk(("never", "sliding"))
    records = [record("never", 0, 0.2, rows=300), record("never", 1, 0.6, rows=100), record("never", 2, 9.0)]
    records += [record("sliding", 0, 0.1, rows=300), record("sliding", 1, 0.5, rows=100)]
    found = summarize(pair, records)
    assert found.weeks == ("2013-01-07", "2013-01-14")
    assert found.rows == 400
    assert [each.mean for each in found.policies] == pytest.approx([0.3, 0.2])
    assert found.running["never"] == pytest.approx([0.2, 0.3])


def test_a_root_is_taken_of_the_mean_over_all_rows() -> None:
    losses, rows = np.array([1.0, 9.0]), np.array([100.0, 300.0])
    found = compare("rmse", losses, np.zeros(2), rows)
    assert found.difference == pytest.approx(np.sqrt(7.0))


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    """Weeks that are alike in pairs, as neighbours are: a bootstrap of single weeks would be too sure."""
    generator, held, rounds = np.random.default_rng(7), 0, 300
    rows = np.full(52, 100.0)
    for _ in range(rounds):
        shock = generator.normal(0, 1, 53)
        differences = shock[1:] + 0.5 * shock[:-1]
        found = compare("log_loss", differences, np.zeros(52), rows)
        held += found.lower <= 0 <= found.upper
    assert 0.86 <= held / rounds <= 0.98


def test_the_page_says_what_pays_on_top_and_escapes(flight_delays: UseCase) -> None:
    records = year({"never": 0, "expanding": 0.01, "sliding": 0.05, "on_drift": 0.01})
    page = walk_page(flight_delays, walk(), records, price_per_hour=3.6)
    top = page[: page.index("Which policy pays")]
    assert "sliding pays: log_loss" in top
    assert "cost at 3.6 an hour" in top
    assert "<i>because" not in page
    assert "</script>" not in page
    assert "http" not in page.replace("http-equiv", "")
    assert page.count("<polyline") == 12


def test_a_page_without_weeks_is_a_page(flight_delays: UseCase) -> None:
    assert "nothing to draw yet" in walk_page(flight_delays, walk(), [])


def test_a_walk_without_never_has_no_difference_to_it(flight_delays: UseCase) -> None:
    records = year({"expanding": 0.01, "sliding": 0.05})
    found = summarize(walk(("expanding", "sliding")), records)
    assert all(each.against is None for each in found.policies)
    assert found.winner == "sliding"
    assert "below never" not in walk_page(flight_delays, walk(("expanding", "sliding")), records)
