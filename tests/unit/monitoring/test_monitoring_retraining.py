"""Which findings of a report a training helps against."""

from __future__ import annotations

from typing import Any

import pytest

from mlforge.drift import MISSING
from mlforge.monitoring import retraining_cause
from mlforge.refs import DriftReport
from mlforge.spec import UseCase


def report(drifted: int = 0, **changes: Any) -> DriftReport:
    scores = {f"column_{number}": float(number < drifted) for number in range(10)}
    whole: dict[str, Any] = {
        "use_case": "flight_delays", "partition_key": "2013-03-26..2013-04-01", "uri": "u", "rows": 1,
        "content_hash": "h", "code_version": "c", "drifted": tuple(list(scores)[:drifted]), "scores": scores,
        "performance": {"predictions": 0.0},
    }  # fmt: skip
    return DriftReport(**{**whole, **changes})


@pytest.mark.parametrize(
    ("found", "helps", "words"),
    [
        (report(0), False, "0% of the columns have drifted; from 50% on a training helps"),
        (report(4), False, "40% of the columns have drifted; from 50% on a training helps"),
        (report(5), True, "5 of 10 columns have drifted: column_0, column_1, column_2, column_3, column_4"),
        (report(7), True, "column_4 and 2 more"),
        (report(9, findings={"column_9": MISSING}), False, "does not bring back what is gone or empty: column_9"),
        (report(performance={"outcomes": 900.0, "positive_rate": 0.2, "log_loss": 0.51}), True, "of their mean 0.5004"),
        (report(performance={"outcomes": 900.0, "positive_rate": 0.2, "log_loss": 0.49}), False, "0% of the columns"),
        (report(performance={"outcomes": 400.0, "positive_rate": 0.2, "log_loss": 0.9}), False, "0% of the columns"),
        (report(performance={"outcomes": 900.0, "positive_rate": 0.0, "log_loss": 0.9}), False, "0% of the columns"),
        (report(performance={"outcomes": 900.0, "r2": -0.1}), True, "worse than their mean: R² is -0.100"),
        (report(performance={"outcomes": 900.0, "r2": 0.1}), False, "0% of the columns"),
    ],
)  # fmt: skip
def test_a_training_helps_against_drift_and_bad_answers_only(
    flight_delays: UseCase, found: DriftReport, helps: bool, words: str
) -> None:
    cause = retraining_cause(flight_delays, found)
    assert cause.helps is helps
    assert words in cause.why
