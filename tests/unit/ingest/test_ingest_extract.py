from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from mlforge.errors import EmptyPartitionError, SourceError, SpecError
from mlforge.ingest import extract_partition
from mlforge.refs import PartitionRange
from mlforge.settings import Settings
from mlforge.spec import UseCase

DAY = PartitionRange.parse("2013-04-02")


def reading(use_case: UseCase, path: Path) -> UseCase:
    weather = use_case.dataset("weather")
    source = weather.source.model_copy(update={"path": str(path)})
    changed = {**use_case.datasets, "weather": weather.model_copy(update={"source": source})}
    return use_case.model_copy(update={"datasets": changed})


def test_a_day_lands_in_the_contracts_types_under_its_hash(installation: Settings, flight_delays: UseCase) -> None:
    raw = extract_partition(flight_delays, "flights", DAY)
    assert raw == extract_partition(flight_delays, "flights", DAY)
    assert raw.uri.endswith(f"raw/flight_delays/flights/2013-04-02/{raw.content_hash}.parquet")
    table = pq.read_table(raw.uri.removeprefix("file://"))
    assert (raw.rows, len(table)) == (981, 981)
    for column in flight_delays.contract("flights").columns:
        assert table.schema.field(column.name).type == column.arrow_type


def test_a_static_dataset_comes_whole(installation: Settings, flight_delays: UseCase) -> None:
    raw = extract_partition(flight_delays, "planes", DAY)
    assert (raw.partition_key, raw.rows) == ("static", 3322)


def test_days_without_rows_are_named(installation: Settings, flight_delays: UseCase) -> None:
    with pytest.raises(EmptyPartitionError, match=r"3 of 4 partitions \(2013-12-31; 2014-01-01; 2014-01-02\)"):
        extract_partition(flight_delays, "weather", PartitionRange.between("2013-12-30", "2014-01-02"))


def test_a_dataset_that_is_not_there_is_an_error(flight_delays: UseCase) -> None:
    with pytest.raises(SpecError, match=r"no dataset 'flihgts'.*'flights'"):
        extract_partition(flight_delays, "flihgts", DAY)


def test_a_column_that_the_source_lacks_is_an_error_with_the_nearest_one(
    installation: Settings, flight_delays: UseCase, tmp_path: Path
) -> None:
    names = [name.replace("wind_speed", "windspeed") for name in flight_delays.contract("weather").column_names]
    row = ["2013-04-02T00:00:00Z" if name == "time_hour" else "NA" for name in names]
    (tmp_path / "weather.csv").write_text(f"{','.join(names)}\n{','.join(row)}\n")
    with pytest.raises(SourceError, match=r"no column 'wind_speed'.*did you mean 'windspeed'"):
        extract_partition(reading(flight_delays, tmp_path / "weather.csv"), "weather", DAY)


def test_a_column_that_the_contract_does_not_know_lands_too(
    installation: Settings, flight_delays: UseCase, tmp_path: Path
) -> None:
    names = flight_delays.contract("weather").column_names
    row = ["2013-04-02T00:00:00Z" if name == "time_hour" else "NA" for name in names]
    (tmp_path / "weather.csv").write_text(f"{','.join(names)},sky\n{','.join(row)},grey\n")
    raw = extract_partition(reading(flight_delays, tmp_path / "weather.csv"), "weather", DAY)
    assert pq.read_table(raw.uri.removeprefix("file://"))["sky"].to_pylist() == ["grey"]
