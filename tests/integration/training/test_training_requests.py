"""Asking for a training, on a real ledger: who asks, who is told that it is not needed, and what the deadline finds."""

from __future__ import annotations

import datetime as dt
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb
from typer.testing import CliRunner

from mlforge import db, stages
from mlforge.cli.main import build_app
from mlforge.refs import DriftReport
from mlforge.settings import Settings
from mlforge.spec import UseCase
from mlforge.spec.retraining import Retraining
from mlforge.stages import StageRun
from mlforge.training import requests
from mlforge.training.deadline import ALERT, check_deadline, due_partition
from mlforge.training.requests import Answer, Wish

pytestmark = pytest.mark.integration

KEY = "2013-04-01"
DATA, MONITORING = "flight_delays.data/night", "flight_delays.monitoring/night"


@pytest.fixture
def ledger(module_database: Settings) -> None:
    """An empty ledger, emptied as only the owner of a database can."""
    with db.connect() as connection:
        connection.execute(
            "TRUNCATE ledger.publications, ledger.gate_decisions, ledger.training_requests, ledger.alerts CASCADE"
        )


@pytest.fixture
def use_case(ledger: None, flight_delays: UseCase) -> UseCase:
    """The shipped use case with a deadline, and a day that is published."""
    changed = flight_delays.retraining.model_copy(update={"deadline": dt.time(6), "timezone": "America/New_York"})
    publish("flights", KEY, "a")
    publish("planes", "static", "p")
    return flight_delays.model_copy(update={"retraining": changed})


def publish(dataset: str, key: str, content: str) -> None:
    """Note another version of a partition."""
    with db.connect() as connection:
        connection.execute(
            "INSERT INTO ledger.publications (use_case, dataset, partition_key, version, attempt, rows_in,"
            " rows_published, rows_quarantined, rows_duplicate, content_hash, raw_uri, raw_hash, contract_version,"
            " code_version) SELECT 'flight_delays', %(dataset)s, %(key)s, 1 + count(*), 1, 0, 0, 0, 0, %(content)s,"
            " '', '', '1', 'c' FROM ledger.publications WHERE dataset = %(dataset)s AND partition_key = %(key)s",
            {"dataset": dataset, "key": key, "content": content},
        )


def decide(key: str = KEY, *, passed: bool = True) -> None:
    """Note a decision of the gate."""
    with db.connect() as connection:
        connection.execute(
            "INSERT INTO ledger.gate_decisions (use_case, partition_key, model_name, model_version, passed, reasons,"
            " evidence, card_uri, run_id) VALUES ('flight_delays', %s, 'flight_delays', 7, %s, %s, '{}', '', 'night')",
            [key, passed, Jsonb([] if passed else ["too slow"])],
        )


def ask(use_case: UseCase, run_id: str = DATA, *, key: str = KEY, **asking: Any) -> Answer:
    run = StageRun(use_case=use_case, days=use_case.partitions(key), run_id=run_id)
    return stages.request_training(run, **asking)


def report(share: float) -> DriftReport:
    scores = {f"column_{number}": float(number < share * 10) for number in range(10)}
    return DriftReport(
        use_case="flight_delays", partition_key=f"2013-03-26..{KEY}", uri="u", rows=1, content_hash="h",
        code_version="c", drifted=tuple(name for name, score in scores.items() if score), scores=scores, performance={},
    )  # fmt: skip


def rows(columns: str = "cause, asked, reason") -> list[tuple[Any, ...]]:
    with db.connect() as connection:
        query = f"SELECT {columns} FROM ledger.training_requests ORDER BY request_id"
        return connection.execute(query.encode()).fetchall()


def alerts() -> list[tuple[Any, ...]]:
    with db.connect() as connection:
        return connection.execute(
            "SELECT partition_key, severity, what, detail ->> 'why' FROM ledger.alerts"
        ).fetchall()


def test_a_night_without_a_change_asks_for_nothing_and_says_so(use_case: UseCase) -> None:
    assert ask(use_case).asked
    decide()
    again = ask(use_case, "flight_delays.data/again")
    assert not again.asked
    assert again.reason.startswith(f"nothing has changed since training as of {KEY}, asked for at ")
    assert rows() == [("partition", True, f"{KEY} is new"), ("partition", False, again.reason)]
    assert len(set(rows("inputs_hash"))) == 1


@pytest.mark.parametrize(
    ("dataset", "key", "content", "asked"),
    [
        ("flights", KEY, "corrected", True),
        ("flights", "2013-02-01", "older, within the window", True),
        ("flights", "2012-12-05", "older, where features look back", True),
        ("flights", "2012-11-01", "older than anything reads", False),
        ("planes", "static", "another", True),
        ("flights", KEY, "a", False),
    ],
)
def test_only_what_the_training_reads_is_a_change(
    use_case: UseCase, dataset: str, key: str, content: str, asked: bool
) -> None:
    ask(use_case)
    decide()
    publish(dataset, key, content)
    answer = ask(use_case, "flight_delays.data/again")
    assert answer.asked is asked
    assert not asked or f"dataset {dataset}" in answer.reason


def test_a_row_that_is_corrected_back_is_no_change(use_case: UseCase) -> None:
    ask(use_case)
    decide()
    publish("flights", KEY, "b")
    publish("flights", KEY, "a")
    assert not ask(use_case, "flight_delays.data/again").asked


def test_other_settings_are_a_change(use_case: UseCase) -> None:
    ask(use_case)
    decide()
    training = use_case.training.model_copy(update={"parameters": {"n_estimators": 7}})
    answer = ask(use_case.model_copy(update={"training": training}), "flight_delays.data/again")
    assert answer.asked
    assert answer.reason.endswith(": settings")


def test_a_person_who_insists_gets_a_training_and_is_written_down(use_case: UseCase) -> None:
    ask(use_case)
    decide()
    assert ask(use_case, "flight_delays.data/by-hand", insists=True).asked
    assert [cause for cause, *_ in rows()] == ["partition", "person"]


def test_data_and_monitoring_of_a_partition_start_one_training(use_case: UseCase) -> None:
    assert ask(use_case).asked
    second = ask(use_case, MONITORING, report=report(0.8))
    assert not second.asked
    assert "its gate has not decided yet" in second.reason
    decide()
    assert not ask(use_case, MONITORING, report=report(0.8)).asked
    publish("flights", KEY, "corrected")
    assert "already" in ask(use_case, MONITORING, report=report(0.8)).reason


def test_of_two_that_ask_at_once_one_asks(use_case: UseCase, monkeypatch: pytest.MonkeyPatch) -> None:
    deciding: list[str | None] = []

    def decide_beside_the_other(wish: Wish, *given: Any) -> Answer:
        deciding.append(wish.run_id)
        while len(deciding) < 2 and not others_waiting():
            pass
        return decide_alone(wish, *given)

    decide_alone = requests.decide
    monkeypatch.setattr(requests, "decide", decide_beside_the_other)
    with ThreadPoolExecutor(2) as pool:
        asking = [pool.submit(ask, use_case), pool.submit(ask, use_case, MONITORING, report=report(0.9))]
        assert sorted(answer.result().asked for answer in asking) == [False, True]


def others_waiting() -> bool:
    with db.connect() as connection:
        waiting = connection.execute("SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        return waiting.fetchone() is not None


def test_drift_asks_where_partitions_do_not(use_case: UseCase) -> None:
    on_drift = use_case.model_copy(update={"retraining": use_case.retraining.model_copy(update={"on": ["drift"]})})
    assert "does not name 'partition'" in ask(on_drift).reason
    assert "from 50% on" in ask(on_drift, MONITORING, report=report(0.4)).reason
    asked = ask(on_drift, MONITORING, report=report(0.5))
    assert (asked.cause, asked.asked) == ("drift", True)
    assert "5 of 10 columns have drifted" in asked.reason


def test_a_task_that_tries_again_asks_again_until_the_gate_has_decided(use_case: UseCase) -> None:
    assert ask(use_case).asked
    assert ask(use_case).asked, "the event may have been lost with the worker"
    assert not ask(use_case, "flight_delays.data/other").asked
    assert ask(use_case, "flight_delays.data/other", by_hand=True).asked, "a person runs it again after a failure"
    decide()
    assert not ask(use_case).asked


def test_a_training_that_a_person_started_counts(use_case: UseCase) -> None:
    run = StageRun(use_case=use_case, days=use_case.partitions(KEY), run_id="flight_delays.training/1", who="ada")
    stages.note_training(run)
    stages.note_training(run)
    assert rows("cause, asked, who") == [("person", True, "ada")]
    assert not ask(use_case).asked
    decide()
    assert "nothing has changed" in ask(use_case).reason


def test_what_was_answered_stays(use_case: UseCase) -> None:
    ask(use_case)
    with pytest.raises(psycopg.errors.RaiseException, match="append-only"), db.connect() as connection:
        connection.execute("UPDATE ledger.training_requests SET reason = ''")


def test_the_deadline_alerts_when_the_data_never_came(use_case: UseCase) -> None:
    found = check_deadline(use_case, use_case.partitions("2013-04-02"), run_id="d/r")
    assert (found.kept, found.raised) == (False, True)
    why = f"the data run has not come through: 2013-04-02 is not published, the newest partition is {KEY}"
    assert alerts() == [("2013-04-02", "critical", ALERT, why)]
    assert not check_deadline(use_case, use_case.partitions("2013-04-02")).raised, "once"


def test_the_deadline_alerts_when_nobody_asked_and_when_the_gate_is_silent(use_case: UseCase) -> None:
    assert "has not come to ask for a training" in check_deadline(use_case, use_case.partitions(KEY)).why
    ask(use_case)
    found = check_deadline(use_case, use_case.partitions(KEY))
    assert not found.kept
    assert found.why.endswith(f"by {DATA}; its gate has not decided")


@pytest.mark.parametrize(("passed", "verdict"), [(True, "passed version 7"), (False, "refused (too slow) version 7")])
def test_a_decision_keeps_the_deadline_and_says_who_and_when(use_case: UseCase, passed: bool, verdict: str) -> None:
    ask(use_case)
    decide(f"2013-01-01..{KEY}", passed=passed)
    found = check_deadline(use_case, use_case.partitions(KEY))
    assert found.kept
    assert found.why.startswith(f"the gate {verdict} at ")
    assert found.why.endswith(", in night")
    assert alerts() == []


def test_without_a_cause_for_a_training_no_decision_is_due(use_case: UseCase) -> None:
    quiet = use_case.model_copy(update={"retraining": use_case.retraining.model_copy(update={"on": ["drift"]})})
    ask(quiet)
    ask(quiet, MONITORING, report=report(0.1))
    found = check_deadline(quiet, quiet.partitions(KEY))
    assert found.kept
    assert "from 50% on a training helps; `retraining.on`" in found.why


def test_a_partition_that_a_backfill_brought_is_not_taken_for_quiet(use_case: UseCase) -> None:
    ask(use_case, obstacle=f"{KEY} is part of a backfill")
    assert not check_deadline(use_case, use_case.partitions(KEY)).kept


def test_before_the_first_publication_and_without_a_deadline_nothing_is_due(
    ledger: None, flight_delays: UseCase
) -> None:
    assert check_deadline(flight_delays, flight_delays.partitions(KEY)).kept
    without = flight_delays.model_copy(update={"retraining": Retraining()})
    assert due_partition(without, dt.datetime.now(dt.UTC)) is None


def command(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(build_app(), ["retraining", *arguments], env={"COLUMNS": "200"})
    return done.exit_code, " ".join(done.output.split())


def test_the_commands_say_who_asked_what_would_be_asked_and_what_is_decided(use_case: UseCase) -> None:
    assert command("list", "flight_delays") == (0, "nobody might have asked for a training of flight_delays yet")
    assert command("preview", "flight_delays")[1].startswith(f"{KEY}: would be asked for: {KEY} is new")
    assert rows() == [], "a preview is no asking"
    ask(use_case)
    status, told = command("deadline", "flight_delays", "--partition", KEY)
    assert (status, alerts()) == (1, [])
    assert "its gate has not decided" in told
    decide()
    assert command("deadline", "flight_delays", "--partition", KEY)[0] == 0
    assert "nothing has changed since training" in command("preview", "flight_delays")[1]
    [listed] = json.loads(command("list", "flight_delays", "--json")[1])
    assert (listed["partition_key"], listed["asked"], listed["run_id"]) == (KEY, True, DATA)
    assert json.loads(command("list", "flight_delays", "--json", "--partition", "2013-04-02")[1]) == []
    assert f"{KEY} is new" in command("list", "flight_delays")[1]
