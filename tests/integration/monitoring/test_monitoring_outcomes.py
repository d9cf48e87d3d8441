"""Outcomes of predictions for real flights, late ones and corrected ones, and the scores that follow from them."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pandas as pd
import pytest

from mlforge import db
from mlforge.monitoring import join_outcomes, measure_performance
from mlforge.refs import PartitionRange
from mlforge.spec import UseCase

pytestmark = pytest.mark.integration

DAY = PartitionRange.parse("2013-04-02")
Predict = Callable[..., list[uuid.UUID]]


def of_day(warehouse: pd.DataFrame) -> pd.DataFrame:
    moment = warehouse["scheduled_departure"]
    return warehouse[(moment >= DAY.start) & (moment < DAY.end)]


def update_flight(row: pd.Series, change: str) -> None:
    with db.connect() as connection:
        done = connection.execute(
            f"UPDATE warehouse.flight_delays__flights SET {change} WHERE carrier = %s AND flight = %s AND origin = %s"
            " AND event_timestamp = %s",
            (row["carrier"], int(row["flight"]), row["origin"], row["scheduled_departure"]),
        )
    assert done.rowcount == 1


def outcomes(receipt: uuid.UUID) -> list[tuple[float]]:
    with db.connect() as connection:
        return connection.execute(
            "SELECT label FROM ledger.outcomes WHERE receipt_id = %s ORDER BY outcome_id", [receipt]
        ).fetchall()


def current(receipt: uuid.UUID) -> float | None:
    with db.connect() as connection:
        row = connection.execute(
            "SELECT label FROM ledger.current_outcomes WHERE receipt_id = %s", [receipt]
        ).fetchone()
    return None if row is None else float(row[0])


def test_each_prediction_of_the_days_gets_its_outcome_once(
    flight_delays: UseCase, warehouse: pd.DataFrame, predict: Predict
) -> None:
    chosen = of_day(warehouse).head(60)
    receipts = predict(chosen)
    other_days = warehouse[~warehouse.index.isin(of_day(warehouse).index)]
    predict(other_days.head(10))
    predict(chosen.head(1).assign(flight=9999))  # a flight that there never was
    assert join_outcomes(flight_delays, DAY, run_id="a run") == 60
    assert join_outcomes(flight_delays, DAY) == 0
    for receipt, delay in zip(receipts, chosen["arr_delay"], strict=True):
        assert outcomes(receipt) == [(float(delay > 15),)]


def test_two_predictions_for_one_flight_both_get_it(
    flight_delays: UseCase, warehouse: pd.DataFrame, predict: Predict
) -> None:
    flight = of_day(warehouse).head(1)
    predict(flight)
    predict(flight)
    assert join_outcomes(flight_delays, DAY) == 2


def test_an_outcome_that_comes_late_is_joined_later(
    flight_delays: UseCase, warehouse: pd.DataFrame, predict: Predict
) -> None:
    chosen = of_day(warehouse).head(2)
    receipts = predict(chosen)
    update_flight(chosen.iloc[0], "known_at = now() + interval '1 hour'")
    assert join_outcomes(flight_delays, DAY) == 1
    assert current(receipts[0]) is None
    update_flight(chosen.iloc[0], "known_at = now() - interval '1 second'")
    assert join_outcomes(flight_delays, DAY) == 1
    assert current(receipts[0]) == float(chosen.iloc[0]["arr_delay"] > 15)


def test_a_corrected_outcome_is_a_new_row_and_the_last_one_counts(
    flight_delays: UseCase, warehouse: pd.DataFrame, predict: Predict
) -> None:
    chosen = of_day(warehouse).head(1)
    (receipt,) = predict(chosen)
    for delay in (0, 90, 0):  # the last one says again what the first one said
        update_flight(chosen.iloc[0], f"arr_delay = {delay}")
        assert join_outcomes(flight_delays, DAY) == 1
        assert join_outcomes(flight_delays, DAY) == 0
        assert current(receipt) == float(delay > 15)
    assert outcomes(receipt) == [(0.0,), (1.0,), (0.0,)]


def test_performance_says_how_many_receipts_and_outcomes_it_rests_on(
    flight_delays: UseCase, warehouse: pd.DataFrame, predict: Predict
) -> None:
    assert measure_performance(flight_delays, DAY) == {"predictions": 0.0}
    late = of_day(warehouse)["arr_delay"] > 15
    chosen = pd.concat([of_day(warehouse)[late].head(20), of_day(warehouse)[~late].head(60)])
    predict(chosen, lambda delay: 0.9 if delay > 15 else 0.2)
    assert measure_performance(flight_delays, DAY) == {"predictions": 80.0, "outcomes": 0.0, "coverage": 0.0}
    join_outcomes(flight_delays, DAY)
    measured = measure_performance(flight_delays, DAY)
    assert measured["coverage"] == 1.0
    assert measured["positive_rate"] == 0.25
    assert measured["auc"] == 1.0
    assert measured["brier"] == pytest.approx(0.25 * 0.01 + 0.75 * 0.04)


def test_one_class_gives_no_auc(flight_delays: UseCase, warehouse: pd.DataFrame, predict: Predict) -> None:
    predict(of_day(warehouse)[of_day(warehouse)["arr_delay"] > 15].head(5))
    join_outcomes(flight_delays, DAY)
    measured = measure_performance(flight_delays, DAY)
    assert "auc" not in measured
    assert measured["log_loss"] == pytest.approx(0.693147, abs=1e-6)
