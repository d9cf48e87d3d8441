"""Drift of real weeks of flights against the months that a champion was trained on."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pandas as pd
import pytest

from mlforge import db, storage
from mlforge.errors import MonitoringError
from mlforge.monitoring import measure_drift, raise_alerts
from mlforge.refs import TrainingSet
from mlforge.settings import Settings
from mlforge.spec import UseCase

pytestmark = pytest.mark.integration

WEEK = "2013-04-02..2013-04-08"
Examples = Callable[..., TrainingSet]


def in_kilometres(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(route_delays__distance=frame["route_delays__distance"] * 1.609344)


def count(table: str) -> int:
    with db.connect() as connection:
        row = connection.execute(f"SELECT count(*) FROM ledger.{table}").fetchone()
    assert row is not None
    return int(row[0])


def test_a_real_week_is_hardly_flagged(flight_delays: UseCase, champion: TrainingSet, examples: Examples) -> None:
    report = measure_drift(flight_delays, examples(WEEK))
    assert set(report.scores) == {
        "carrier",
        "origin",
        "dest",
        "carrier_delays__mean_delay",
        "route_delays__distance",
        "route_delays__air_time",
    }
    assert report.scores["route_delays__distance"] < 0.1
    assert "route_delays__distance" not in report.drifted
    assert len(report.drifted) <= 1
    assert report.performance == {"predictions": 0.0}
    assert report.rows == examples(WEEK).rows


def test_a_changed_unit_is_flagged(flight_delays: UseCase, champion: TrainingSet, examples: Examples) -> None:
    before, after = (
        measure_drift(flight_delays, examples(WEEK)),
        measure_drift(flight_delays, examples(WEEK, in_kilometres)),
    )
    assert "route_delays__distance" in after.drifted
    assert set(after.drifted) - set(before.drifted) == {"route_delays__distance"}


def test_a_few_absurd_values_do_not_hide_a_shift(
    flight_delays: UseCase, champion: TrainingSet, examples: Examples
) -> None:
    def shifted(frame: pd.DataFrame) -> pd.DataFrame:
        frame = in_kilometres(frame)
        frame.loc[frame.index[:3], "route_delays__distance"] = [1e12, float("inf"), -1e12]
        return frame

    assert "route_delays__distance" in measure_drift(flight_delays, examples(WEEK, shifted)).drifted


def test_lost_columns_lost_values_and_other_types_are_findings_and_alerts(
    flight_delays: UseCase, champion: TrainingSet, examples: Examples
) -> None:
    def broken(frame: pd.DataFrame) -> pd.DataFrame:
        frame = frame.drop(columns="route_delays__distance").assign(
            carrier_delays__mean_delay=None, route_delays__air_time=frame["route_delays__air_time"].astype("str")
        )
        frame.loc[frame.index[::2], "dest"] = None
        return frame

    report = measure_drift(flight_delays, examples(WEEK, broken))
    assert report.findings["route_delays__distance"].startswith("missing")
    assert report.findings["carrier_delays__mean_delay"].startswith("empty")
    assert report.findings["route_delays__air_time"].startswith("retyped")
    assert report.findings["dest"] == "nulls: 0.0% in the training set, 50.0% now"
    assert set(report.findings) <= set(report.drifted)
    assert raise_alerts(flight_delays, report) == 4
    assert raise_alerts(flight_delays, report) == 0
    with db.connect() as connection:
        rows = connection.execute("SELECT what, severity FROM ledger.alerts ORDER BY what").fetchall()
    assert rows == [
        ("column carrier_delays__mean_delay", "critical"),
        ("column route_delays__air_time", "critical"),
        ("column route_delays__distance", "critical"),
        ("drift", "warning"),
    ]


def test_a_quiet_report_raises_nothing(flight_delays: UseCase, champion: TrainingSet, examples: Examples) -> None:
    assert raise_alerts(flight_delays, measure_drift(flight_delays, examples(WEEK))) == 0
    assert count("alerts") == 0


def test_the_same_examples_give_the_same_report_once(
    flight_delays: UseCase, champion: TrainingSet, examples: Examples
) -> None:
    first = measure_drift(flight_delays, examples(WEEK))
    second = measure_drift(flight_delays, examples(WEEK))
    assert second == first
    assert count("drift_reports") == 1
    measure_drift(flight_delays, examples(WEEK, in_kilometres))
    assert count("drift_reports") == 2


def test_page_and_figures_are_stored_and_load_nothing_from_outside(
    flight_delays: UseCase, champion: TrainingSet, examples: Examples
) -> None:
    def hostile(frame: pd.DataFrame) -> pd.DataFrame:
        frame.loc[frame.index[: len(frame) // 4], "carrier"] = "</script><script>alert(1)</script>"
        return frame

    report = measure_drift(flight_delays, examples(WEEK, hostile))
    page = storage.read_bytes(report.uri).decode()
    assert f"/reports/flight_delays/{WEEK}/" in report.uri
    assert "default-src 'none'" in page.split("<script", 1)[0]
    assert "</script><script>alert" not in page
    assert not re.findall(r"<(?:script|link|img|iframe)[^>]*(?:src|href)\s*=", page.split("<script>", 1)[0])
    with db.connect() as connection:
        row = connection.execute("SELECT detail_uri FROM ledger.drift_reports").fetchone()
    assert row is not None
    figures = json.loads(storage.read_bytes(row[0]))
    assert figures["scores"] == report.scores
    assert figures["page"] == report.uri


@pytest.mark.parametrize("rows", [0, 1, 99])
def test_too_few_rows_are_an_error_and_no_quiet_report(
    flight_delays: UseCase, champion: TrainingSet, examples: Examples, rows: int
) -> None:
    with pytest.raises(MonitoringError, match=f"has {rows} rows") as caught:
        measure_drift(flight_delays, examples(WEEK, lambda frame: frame.head(rows)))
    assert WEEK in str(caught.value)
    assert count("drift_reports") == 0


def test_without_champion_the_error_says_what_to_do(
    flight_delays: UseCase, examples: Examples, database: Settings
) -> None:
    with pytest.raises(MonitoringError, match=r"no champion.*promote"):
        measure_drift(flight_delays, examples(WEEK))


def test_an_unknown_configured_column_is_an_error_with_the_nearest_name(
    flight_delays: UseCase, champion: TrainingSet, examples: Examples
) -> None:
    monitors = flight_delays.monitors.model_copy(update={"drift_columns": ["route_delays__distanze"]})
    changed = flight_delays.model_copy(update={"monitors": monitors})
    with pytest.raises(MonitoringError, match="did you mean 'route_delays__distance'"):
        measure_drift(changed, examples(WEEK))
