from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gate_evidence import gated, make_candidate, make_evidence, make_labels, predictions
from mlforge.errors import PromotionError
from mlforge.refs import Candidate
from mlforge.registry.checks import Check, Evidence, run_checks
from mlforge.registry.checks.check import is_at_most
from mlforge.registry.checks.cost import measure_latency
from mlforge.registry.checks.data import check_drift
from mlforge.registry.checks.evidence import predict
from mlforge.registry.checks.labels import THRESHOLD, mcnemar, mcnemar_by_clusters
from mlforge.registry.checks.segments import check_segments
from mlforge.serving import manifest

LABELS, GOOD = make_labels(6000)
BLUNT = np.full(len(LABELS), LABELS.mean())


def blurred(amount: float, *, seed: int = 1) -> np.ndarray:
    """Return probabilities that are worse than the good ones, the more the larger the amount."""
    noise = np.random.default_rng(seed).normal(0, amount, len(GOOD))
    return np.clip(1 / (1 + np.exp(-(np.log(GOOD / (1 - GOOD)) + noise))), 1e-4, 1 - 1e-4)


def judge(evidence: Evidence) -> dict[str, Check]:
    return {check.name: check for check in run_checks(evidence)[0]}


class Stub:
    """A model whose scores are given."""

    def __init__(self, scores: np.ndarray, names: list[str]) -> None:
        self.scores, self.feature_names, self.seen = scores, names, {}  # type: ignore[var-annotated]

    def score(self, columns: dict[str, Any]) -> np.ndarray:
        self.seen = columns
        return self.scores


def test_a_baseline_is_beaten_or_not_and_one_without_the_metric_is_not() -> None:
    use_case = gated(beat_baselines=["base_rate", "logistic_regression"])
    scores = {"base_rate": {"log_loss": 0.6}, "logistic_regression": {"brier": 0.1}}
    checks = judge(make_evidence(use_case, LABELS, GOOD, candidate=make_candidate(baselines=scores)))
    assert checks["beats base_rate"].passed
    assert checks["beats base_rate"].figures["baseline"] == 0.6
    assert not checks["beats logistic_regression"].passed
    assert "has no log_loss" in checks["beats logistic_regression"].detail


def test_limits_of_calibration_and_of_bias_are_kept_or_not() -> None:
    strict = judge(make_evidence(gated(maximum_calibration_error=0.001), LABELS, blurred(1.5)))
    assert not strict["calibrated"].passed
    use_case = gated("household_spend", maximum_relative_bias=0.1)
    outcomes = np.full(500, 20.0)
    assert judge(make_evidence(use_case, outcomes, outcomes + 1))["unbiased"].passed
    assert not judge(make_evidence(use_case, outcomes, outcomes - 3))["unbiased"].passed
    told = judge(make_evidence(use_case, outcomes * 0, outcomes))["unbiased"]
    assert not told.passed
    assert "cannot be told" in told.detail


@pytest.mark.parametrize(("rule", "equal_passes"), [("non_inferiority", True), ("superiority", False)])
def test_the_rule_decides_what_an_equal_model_is_worth(rule: str, equal_passes: bool) -> None:
    use_case = gated(rule=rule, non_inferiority_margin=0.01)
    name = {"non_inferiority": "no worse than the champion", "superiority": "better than the champion"}[rule]
    equal = judge(make_evidence(use_case, LABELS, blurred(0.1), blurred(0.1, seed=2)))[name]
    assert equal.passed == equal_passes
    assert judge(make_evidence(use_case, LABELS, GOOD, BLUNT))[name].passed
    worse = judge(make_evidence(use_case, LABELS, BLUNT, GOOD))[name]
    assert not worse.passed
    assert worse.figures["lower"] > 0  # type: ignore[operator]
    assert "of release 2" in worse.detail


def test_the_champion_itself_is_judged_as_what_it_is() -> None:
    evidence = make_evidence(gated(rule="superiority"), LABELS, GOOD, GOOD, candidate=make_candidate(uri="models:/m-0"))
    assert judge(evidence)["better than the champion"].passed


def test_days_are_drawn_as_a_whole_and_one_day_is_too_few() -> None:
    use_case = gated(resample="day", non_inferiority_margin=1.0)
    week = judge(make_evidence(use_case, LABELS, GOOD, BLUNT, days=7))["no worse than the champion"]
    assert week.passed
    assert week.figures["units"] == 7
    assert "over 7 days" in week.detail
    day = judge(make_evidence(use_case, LABELS, GOOD, BLUNT, days=1))["no worse than the champion"]
    assert not day.passed
    assert "lengthen training.test_days" in day.detail


def test_labels_are_those_that_serving_answers_with() -> None:
    assert THRESHOLD == manifest.THRESHOLD


def test_mcnemar_says_what_the_binomial_says() -> None:
    from scipy.stats import binomtest

    assert mcnemar(0, 0) == 1
    for lost, won in ((5, 1), (1, 5), (20, 20), (30, 19), (300, 240), (70, 80)):
        exact = binomtest(lost, lost + won, alternative="greater").pvalue
        assert mcnemar(lost, won) == pytest.approx(exact, abs=0.003)


@given(st.integers(0, 300), st.integers(0, 300))
def test_mcnemar_is_a_probability_and_more_losses_never_look_better(lost: int, won: int) -> None:
    assert 0 <= mcnemar(lost, won) <= 1
    if lost + won not in (48, 49):  # where the exact test hands over to the approximation
        assert mcnemar(lost + 1, won) <= mcnemar(lost, won) + 0.01


def test_mcnemar_over_days_refuses_sound_labels_alpha_of_the_time_at_most_and_over_rows_more_often() -> None:
    generator, alpha, windows = np.random.default_rng(0), 0.05, 2000
    leaning = generator.normal(0, 1.0, (windows, 7, 1))  # on some days one model is lucky with all its labels
    lost = generator.random((windows, 7, 40)) < 1 / (1 + np.exp(-leaning))
    surplus = (2 * lost.sum(axis=2) - 40).astype(float)
    by_days = np.mean([mcnemar_by_clusters(each) < alpha for each in surplus])
    by_rows = np.mean([mcnemar(int(each.sum()), int((~each).sum())) < alpha for each in lost])
    assert by_days <= alpha + 3 * np.sqrt(alpha * (1 - alpha) / windows)
    assert by_rows > 3 * alpha
    assert mcnemar_by_clusters(np.array([5.0, 6, 4, 5, 7, 5, 6])) < 0.02
    assert mcnemar_by_clusters(np.zeros(7)) == mcnemar_by_clusters(np.array([9.0])) == 1


def test_worse_labels_are_refused_and_better_ones_are_not() -> None:
    use_case = gated(mcnemar_alpha=0.01, non_inferiority_margin=10.0)
    assert judge(make_evidence(use_case, LABELS, GOOD, blurred(2.0)))["labels no worse"].passed
    refused = judge(make_evidence(use_case, LABELS, blurred(2.0), GOOD))["labels no worse"]
    assert not refused.passed
    daily = judge(make_evidence(gated(mcnemar_alpha=0.01, resample="day"), LABELS, blurred(2.0), GOOD))
    assert "over 7 days" in daily["labels no worse"].detail
    assert not daily["labels no worse"].passed
    assert refused.figures["only_champion_right"] > refused.figures["only_candidate_right"]  # type: ignore[operator]


CARRIERS = np.array(["AA", "B6", "UA", "WN"])[np.arange(len(LABELS)) % 4]
GUARDRAIL = [{"by": "carrier", "margin": 0.01, "minimum_rows": 200}]


def guarded(**gates: Any) -> Any:
    from mlforge.spec.gates import Segment

    segments = [Segment(**each) for each in gates.pop("segments", GUARDRAIL)]
    return gated(segments=segments, non_inferiority_margin=0.05, **gates)


def test_a_group_that_is_surely_worse_is_refused_though_the_whole_is_not() -> None:
    own = np.where(CARRIERS == "WN", blurred(1.0), GOOD)
    evidence = make_evidence(guarded(), LABELS, own, GOOD, carrier=CARRIERS)
    checks = judge(evidence)
    assert checks["no worse than the champion"].passed
    assert not checks["no worse by carrier"].passed
    assert "WN +0" in checks["no worse by carrier"].detail
    groups = {group.value: group for group in check_segments(evidence)[1]}
    assert [name for name, group in groups.items() if group.worse] == ["WN"]
    assert sum(group.rows for group in groups.values()) == len(LABELS)


def test_alpha_is_shared_by_all_groups_of_all_guardrails() -> None:
    segments = [*GUARDRAIL, {"by": "origin", "margin": 0.01, "minimum_rows": 200}]
    origins = np.array(["EWR", "JFK"])[np.arange(len(LABELS)) % 2]
    one, two = (
        check_segments(
            make_evidence(guarded(segments=each), LABELS, blurred(0.3), GOOD, carrier=CARRIERS, origin=origins)
        )
        for each in (GUARDRAIL, segments)
    )
    assert one[0][0].figures["alpha_each"] == 0.025 / 4
    assert two[0][0].figures["alpha_each"] == 0.025 / 6
    assert two[1][0].lower < one[1][0].lower  # type: ignore[operator]


@pytest.mark.parametrize("resample", ["row", "day"])
def test_groups_that_are_worse_by_the_margin_are_refused_alpha_of_the_time_at_most(resample: str) -> None:
    """Twenty groups at once: without a shared alpha every second sound candidate would be refused."""
    use_case = guarded(
        alpha=0.05, bootstrap_samples=200, resample=resample,
        segments=[{"by": "group", "margin": 0.01, "minimum_rows": 10}],
    )  # fmt: skip
    generator, rows = np.random.default_rng(0), 1000
    group = np.array([f"g{number:02}" for number in np.arange(rows) % 20])
    labels = np.zeros(rows)
    blank = make_evidence(use_case, labels, np.full(rows, 0.5), np.full(rows, 0.5), group=group)
    refused = []
    for _ in range(120):
        own = dataclasses.replace(blank.own, losses=generator.standard_t(5, rows) * 0.05 + 0.01)
        theirs = dataclasses.replace(blank.own, losses=np.zeros(rows))
        checks, _ = check_segments(dataclasses.replace(blank, own=own, theirs=theirs))
        refused.append(not checks[0].passed)
    assert np.mean(refused) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 120)


def test_small_groups_and_missing_values_are_told_not_judged() -> None:
    carriers = [None if place < 5 else ("OO" if place < 35 else str(CARRIERS[place])) for place in range(len(LABELS))]
    own = np.where(np.arange(len(LABELS)) < 35, 1e-6, GOOD)
    checks, groups = check_segments(make_evidence(guarded(), LABELS, own, GOOD, carrier=carriers))
    assert checks[0].passed
    assert "2 with too few rows (35)" in checks[0].detail
    assert {group.value: group.rows for group in groups if not group.judged} == {"(none)": 5, "OO": 30}


def test_before_the_first_champion_no_group_is_judged() -> None:
    assert check_segments(make_evidence(guarded(), LABELS, GOOD, carrier=CARRIERS)) == ([], ())


def test_a_guardrail_by_a_column_that_is_not_there_names_the_nearest() -> None:
    use_case = guarded(segments=[{"by": "carier", "margin": 0.01}])
    with pytest.raises(PromotionError, match="did you mean 'carrier'"):
        run_checks(make_evidence(use_case, LABELS, GOOD, carrier=CARRIERS))


@pytest.mark.parametrize("wrong", [np.nan, np.inf, 1.5, -0.1])
def test_a_score_that_is_no_probability_is_a_refusal_with_its_count(wrong: float) -> None:
    use_case, scores = gated(maximum_calibration_error=0.1), GOOD.copy()
    scores[:7] = wrong
    test = make_evidence(use_case, LABELS, GOOD).test
    own = predict(use_case, Stub(scores, []), test)  # type: ignore[arg-type]
    checks = judge(make_evidence(use_case, LABELS, own, GOOD))
    assert list(checks) == ["scores are numbers"]
    assert not checks["scores are numbers"].passed
    assert "for 7 of 6,000 rows" in checks["scores are numbers"].detail


def test_a_champion_that_scores_nonsense_is_no_way_in() -> None:
    use_case, scores = gated(), GOOD.copy()
    scores[0] = np.nan
    theirs = predict(use_case, Stub(scores, []), make_evidence(use_case, LABELS, GOOD).test)  # type: ignore[arg-type]
    check = judge(make_evidence(use_case, LABELS, GOOD, theirs))["no worse than the champion"]
    assert not check.passed
    assert "roll back" in check.detail


def test_a_champion_whose_column_is_gone_is_scored_without_it_and_the_card_says_so() -> None:
    use_case = gated()
    test = make_evidence(use_case, LABELS, GOOD, here=np.ones(len(LABELS))).test
    model = Stub(GOOD, ["here", "gone"])
    theirs = predict(use_case, model, test)  # type: ignore[arg-type]
    assert set(model.seen["gone"]) == {None}
    assert (
        "scored without gone"
        in judge(make_evidence(use_case, LABELS, GOOD, theirs))["no worse than the champion"].detail
    )


def test_a_model_that_is_too_slow_or_too_large_is_refused() -> None:
    assert is_at_most("small enough", 3.0, 2.5, "megabytes").passed is False
    model = Stub(GOOD[:1], [])
    assert 0 < measure_latency(model, [{}] * 10) < 1  # type: ignore[arg-type]


def test_figures_that_are_no_numbers_are_text() -> None:
    check = Check(name="n", passed=False, detail="", figures={"a": float("nan"), "b": 1.5, "c": 2})
    assert check.figures == {"a": "nan", "b": 1.5, "c": 2}
    assert Check.model_validate_json(check.model_dump_json()) == check


def test_drifted_columns_are_counted_as_the_monitors_count_them() -> None:
    generator = np.random.default_rng(0)
    use_case = gated(maximum_drifted=0.4)
    use_case = use_case.model_copy(
        update={"monitors": use_case.monitors.model_copy(update={"drift_columns": ["a", "b"]})}
    )
    before = {"a": generator.normal(0, 1, 9000), "b": generator.normal(0, 1, 9000)}
    same = {"a": generator.normal(0, 1, len(LABELS)), "b": generator.normal(0, 1, len(LABELS))}
    calm = check_drift(make_evidence(use_case, LABELS, GOOD, before=before, **same))[0]
    assert calm.passed
    assert calm.figures["columns"] == 2
    shifted = {**same, "b": same["b"] + 2}
    moved = check_drift(make_evidence(use_case, LABELS, GOOD, before=before, **shifted))[0]
    assert not moved.passed
    assert "most: b" in moved.detail
    few = check_drift(make_evidence(use_case, LABELS, GOOD, before={"a": np.zeros(5), "b": np.zeros(5)}, **same))[0]
    assert not few.passed
    assert "too few" in few.detail


def test_no_check_is_made_that_was_not_asked_for() -> None:
    assert judge(make_evidence(gated(), LABELS, GOOD)) == {}
    candidate: Candidate = make_candidate()
    assert candidate.baselines == {}
    assert predictions(gated(), LABELS, GOOD).unusable is None
