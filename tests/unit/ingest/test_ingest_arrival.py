"""One file per partition, and whether it is there."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from mlforge.errors import EmptyPartitionError, PartitionNotReadyError, SourceError
from mlforge.ingest import extract_partition
from mlforge.ingest.arrival import deadline_of, first_missing, late_error, partition_available
from mlforge.refs import PartitionRange
from mlforge.settings import Settings
from mlforge.spec import UseCase

DAYS = PartitionRange.parse("2013-04-01..2013-04-02")
HEAD = "origin,year,month,day,hour,temp,dewp,humid,wind_dir,wind_speed,wind_gust,precip,pressure,visib,time_hour\n"


def line(day: str, hour: int = 6) -> str:
    return f"EWR,2013,4,1,{hour},50,40,60,NA,NA,NA,0,NA,10,{day}T{hour:02}:00:00Z\n"


def reading(use_case: UseCase, path: str, **other: Any) -> UseCase:
    weather = use_case.dataset("weather")
    source = type(weather.source).model_validate(
        {"kind": "file", "path": path, "partition_column": "time_hour", **other}
    )
    changed = {**use_case.datasets, "weather": weather.model_copy(update={"source": source})}
    return use_case.model_copy(update={"datasets": changed})


@pytest.fixture
def daily(flight_delays: UseCase, tmp_path: Path) -> UseCase:
    """The weather as one file per day, of which the first has come."""
    (tmp_path / "2013-04-01.csv").write_text(HEAD + line("2013-04-01") + line("2013-04-01", 7))
    return reading(flight_delays, f"{tmp_path}/{{partition_key}}.csv")


def test_files_of_partitions_land_together(installation: Settings, daily: UseCase, tmp_path: Path) -> None:
    (tmp_path / "2013-04-02.csv").write_text(HEAD + line("2013-04-02"))
    raw = extract_partition(daily, "weather", DAYS)
    hours = pq.read_table(raw.uri.removeprefix("file://"))["time_hour"].to_pylist()
    assert [f"{hour:%d %H}" for hour in hours] == ["01 06", "01 07", "02 06"]
    assert raw.source_uri == f"{tmp_path}/{{partition_key}}.csv"
    first = extract_partition(daily, "weather", PartitionRange.parse("2013-04-01"))
    assert first == extract_partition(daily, "weather", PartitionRange.parse("2013-04-01"))


def test_a_partition_without_a_file_is_empty_and_one_that_may_be_late_is_not_ready(
    installation: Settings, daily: UseCase, tmp_path: Path
) -> None:
    assert first_missing(daily, "weather", DAYS) == "2013-04-02"
    assert partition_available(daily, "weather", PartitionRange.parse("2013-04-01"))
    with pytest.raises(EmptyPartitionError, match=r"no file for 1 of 2 partitions \(2013-04-02\)"):
        extract_partition(daily, "weather", DAYS)
    waiting = reading(daily, f"{tmp_path}/{{partition_key}}.csv", wait={"deadline_hours": 1})
    with pytest.raises(PartitionNotReadyError, match=r"1 of 2 partitions \(2013-04-02\)"):
        extract_partition(waiting, "weather", DAYS)
    (tmp_path / "2013-04-02.csv").write_text(HEAD)
    with pytest.raises(PartitionNotReadyError, match=r"no rows yet for 1 of 2 partitions \(2013-04-02\)"):
        extract_partition(waiting, "weather", DAYS)
    (tmp_path / "2013-04-02.csv").write_text("")
    assert first_missing(daily, "weather", DAYS) == "2013-04-02"


def test_a_file_with_rows_of_another_partition_is_an_error(
    installation: Settings, daily: UseCase, tmp_path: Path
) -> None:
    (tmp_path / "2013-04-02.csv").write_text(HEAD + line("2013-04-02") + line("2013-04-03"))
    with pytest.raises(SourceError, match=r"2013-04-02\.csv: 1 of 2 rows .* are of other days \(2013-04-03T06"):
        extract_partition(daily, "weather", DAYS)


def test_a_file_of_all_partitions_has_come_when_it_has_the_days_rows(
    installation: Settings, flight_delays: UseCase, tmp_path: Path
) -> None:
    whole = reading(flight_delays, f"{tmp_path}/all.csv", wait={"deadline_hours": 1})
    assert first_missing(whole, "weather", DAYS) == "2013-04-01"
    (tmp_path / "all.csv").write_text(HEAD + line("2013-04-01"))
    assert first_missing(whole, "weather", DAYS) == "2013-04-02"
    (tmp_path / "all.csv").write_text(HEAD + line("2013-04-01") + line("2013-04-02"))
    assert partition_available(whole, "weather", DAYS)


def test_times_without_an_offset_are_of_the_declared_zone(
    installation: Settings, flight_delays: UseCase, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_text(HEAD + line("2013-04-01", 21).replace("Z\n", "\n"))
    local = reading(flight_delays, f"{tmp_path}/a.csv", timezone="America/New_York")
    raw = extract_partition(local, "weather", PartitionRange.parse("2013-04-02"))
    moment = pq.read_table(raw.uri.removeprefix("file://"))["time_hour"][0].as_py()
    assert moment == dt.datetime(2013, 4, 2, 1, tzinfo=dt.UTC)


def test_a_time_that_the_clock_never_shows_is_an_error(
    installation: Settings, flight_delays: UseCase, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_text(HEAD + line("2013-03-10", 2).replace("Z\n", "\n"))
    local = reading(flight_delays, f"{tmp_path}/a.csv", timezone="America/New_York")
    with pytest.raises(SourceError, match="1 distinct values of the column 'time_hour' are no timestamp"):
        extract_partition(local, "weather", PartitionRange.parse("2013-03-10"))


@pytest.mark.parametrize(
    ("started", "until"), [("2013-04-02T23:00", "2013-04-03T02:00"), ("2014-01-01T10:00", "2014-01-01T12:00")]
)
def test_the_deadline_counts_from_the_partitions_end_or_the_runs_start(
    daily: UseCase, started: str, until: str
) -> None:
    waiting = reading(daily, "a.csv", wait={"deadline_hours": 2})
    run = dt.datetime.fromisoformat(f"{started}+00:00")
    deadline = deadline_of(waiting, "weather", DAYS, run)
    assert deadline == dt.datetime.fromisoformat(f"{until}+00:00")
    message = str(late_error(waiting, "weather", PartitionRange.parse("2013-04-02"), deadline, "it answers 503"))
    assert "2013-04-02 is late: due since 2013-04-03 00:00 UTC, waited for until" in message
    assert "(it answers 503)" in message
