from __future__ import annotations

import pytest

from mlforge.contracts.policy import Counts, contract_error, decide, sets_aside
from mlforge.contracts.rules import Bound, Finding, Rule
from mlforge.spec import Dataset, UseCase
from mlforge.spec.datasets import Policy

RANGE = Rule("n.range", "row")
KEY = Rule("key.unique", "row", unique=("n",), held=True)
ROWS = Rule("rows", "partition", bound=Bound("mustBeGreaterThan", (9,), "rows"))


def dataset(use_case: UseCase, **policy: object) -> Dataset:
    return use_case.dataset("flights").model_copy(update={"policy": Policy.model_validate(policy)})


def test_the_share_is_counted_for_each_day_by_itself(flight_delays: UseCase) -> None:
    declared = dataset(flight_delays, broken_rows="quarantine", quarantine_up_to=0.1)
    counts = {"2013-01-01": Counts(99, 99, 0), "2013-01-02": Counts(10, 10, 2)}
    findings = [Finding(RANGE, "2013-01-02", False, 2.0, ({"n": 7},))]
    decisions = decide(declared, counts, findings)
    assert {key: decision.outcome for key, decision in decisions.items()} == {
        "2013-01-01": "passed", "2013-01-02": "failed",
    }  # fmt: skip
    error = contract_error("w", declared, decisions, findings, "file:///page.html")
    assert error is not None
    assert "w, rule n.range: of 2013-01-02, one of 1 of 2 partitions: 2 of 10 rows (20.0%)" in str(error)
    assert '{"n": 7}' in str(error)
    assert "see file:///page.html" in str(error)


def test_up_to_the_share_rows_are_set_aside(flight_delays: UseCase) -> None:
    declared = dataset(flight_delays, broken_rows="quarantine", quarantine_up_to=0.1)
    decisions = decide(declared, {"k": Counts(21, 20, 2)}, [Finding(RANGE, "k", False, 2.0)])
    assert decisions["k"].outcome == "quarantined"
    assert contract_error("w", declared, decisions, [], None) is None
    counts = decisions["k"].counts
    assert counts.rows_in == counts.kept + counts.broken + counts.duplicate


@pytest.mark.parametrize(("severity", "outcome"), [("error", "failed"), ("warning", "warned"), ("info", "passed")])
def test_a_partition_that_is_broken_as_a_whole(flight_delays: UseCase, severity: str, outcome: str) -> None:
    rule = Rule("rows", "partition", severity=severity, bound=ROWS.bound)  # type: ignore[arg-type]
    declared = dataset(flight_delays, broken_rows="quarantine", quarantine_up_to=1.0)
    decisions = decide(declared, {"k": Counts(3, 3, 0)}, [Finding(rule, "k", False, 3.0)])
    assert decisions["k"].outcome == outcome
    error = contract_error("w", declared, decisions, [Finding(rule, "k", False, 3.0)], None)
    assert (error is not None) == (outcome == "failed")


def test_who_only_warns_still_sets_aside_what_no_table_can_hold(flight_delays: UseCase) -> None:
    declared = dataset(flight_delays, broken_rows="warn")
    assert [sets_aside(declared, rule) for rule in (RANGE, KEY, ROWS)] == [False, True, False]
    found = [Finding(RANGE, "k", False, 2.0), Finding(ROWS, "k", False, 3.0)]
    assert decide(declared, {"k": Counts(3, 3, 0)}, found)["k"].outcome == "warned"
    assert decide(declared, {"k": Counts(3, 3, 2)}, [Finding(KEY, "k", False, 2.0)])["k"].outcome == "failed"


@pytest.mark.parametrize(("policy", "outcome"), [("ignore", "passed"), ("warn", "warned"), ("fail", "failed")])
def test_a_column_too_many(flight_delays: UseCase, policy: str, outcome: str) -> None:
    declared = dataset(flight_delays, extra_columns=policy)
    decisions = decide(declared, {"k": Counts(3, 3, 0)}, [], ["gate"])
    assert decisions["k"].outcome == outcome
    error = contract_error("w", declared, decisions, [], None)
    assert (error is not None) == (outcome == "failed")
    assert error is None or "gate" in str(error)


def test_a_share_without_quarantine_means_nothing() -> None:
    with pytest.raises(ValueError, match="quarantine_up_to needs broken_rows"):
        Policy(quarantine_up_to=0.5)
