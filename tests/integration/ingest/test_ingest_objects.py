"""Sources on S3: a real server, and credentials that an Airflow connection holds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from flight_sources import real_rows
from mlforge import connections
from mlforge.errors import EmptyPartitionError, RetryableError, SourceError
from mlforge.ingest import extract_partition
from mlforge.ingest.arrival import first_missing
from mlforge.refs import PartitionRange
from mlforge.settings import Settings
from mlforge.spec import UseCase
from mlforge.spec.sources import FileSource
from object_store import ObjectStore, object_store
from processes import free_port

pytestmark = pytest.mark.integration
DAYS = PartitionRange.parse("2013-04-01..2013-04-03")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    """A running S3 server with the weather: one file of all days, and one per day but the third."""
    with object_store(tmp_path_factory.mktemp("objects")) as running:
        running.make_bucket("lake")
        rows = real_rows("weather")
        put(running, "weather.csv", rows.to_csv(index=False))
        for day in DAYS.keys[:2]:
            put(running, f"daily/{day}.csv", rows[rows["time_hour"].str.startswith(day)].to_csv(index=False))
        yield running


@pytest.fixture
def lake(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a connection with the server's credentials."""
    monkeypatch.setattr(connections, "_resolvers", [])
    monkeypatch.setenv("AIRFLOW_CONN_LAKE", connection(store, store.url))
    return "lake"


def put(store: ObjectStore, key: str, content: str) -> None:
    store.client().put_object(Bucket="lake", Key=key, Body=content.encode())


def connection(store: ObjectStore, url: str, secret: str | None = None) -> str:
    extra = {"endpoint_url": url, "region_name": "us-east-1"}
    return json.dumps(
        {"conn_type": "aws", "login": store.access_key, "password": secret or store.secret_key, "extra": extra}
    )


def reading(use_case: UseCase, path: str, name: str | None = "lake") -> UseCase:
    weather = use_case.dataset("weather")
    source = FileSource(kind="file", path=path, partition_column="time_hour", connection=name)
    changed = {**use_case.datasets, "weather": weather.model_copy(update={"source": source})}
    return use_case.model_copy(update={"datasets": changed})


def landed(use_case: UseCase, key: str) -> Any:
    return extract_partition(use_case, "weather", PartitionRange.parse(key))


def test_a_file_on_s3_gives_what_the_same_file_here_gives(
    installation: Settings, flight_delays: UseCase, lake: str
) -> None:
    whole = reading(flight_delays, "s3://lake/weather.csv")
    raw = landed(whole, DAYS.key)
    assert raw.content_hash == landed(flight_delays, DAYS.key).content_hash
    assert raw.source_uri == "s3://lake/weather.csv"


def test_a_file_of_all_days_is_fetched_once_until_it_changes(
    installation: Settings, flight_delays: UseCase, lake: str, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = real_rows("weather")
    put(store, "growing.csv", rows[rows["time_hour"] < "2013-04-02"].to_csv(index=False))
    growing = reading(flight_delays, "s3://lake/growing.csv")
    first = landed(growing, "2013-04-01")
    assert first_missing(growing, "weather", DAYS) == "2013-04-02"
    with monkeypatch.context() as patch:
        patch.setattr("mlforge.ingest.files.SourceFiles.read", lambda *_: pytest.fail("it was fetched again"))
        assert landed(growing, "2013-04-01") == first
    put(store, "growing.csv", rows.to_csv(index=False))
    assert first_missing(growing, "weather", DAYS) is None
    assert landed(growing, "2013-04-01") == first


def test_files_of_partitions_land_together_and_a_missing_one_is_named(
    installation: Settings, flight_delays: UseCase, lake: str
) -> None:
    daily = reading(flight_delays, "s3://lake/daily/{partition_key}.csv")
    two = landed(daily, "2013-04-01..2013-04-02")
    assert two.content_hash == landed(flight_delays, "2013-04-01..2013-04-02").content_hash
    assert first_missing(daily, "weather", DAYS) == "2013-04-03"
    with pytest.raises(EmptyPartitionError, match=r"no file for 1 of 3 partitions \(2013-04-03\)"):
        landed(daily, DAYS.key)


def test_what_is_wrong_with_the_storage_is_said_without_its_secret(
    installation: Settings, flight_delays: UseCase, lake: str, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SourceError, match=r"s3://lake/no\.csv: the source file does not exist"):
        landed(reading(flight_delays, "s3://lake/no.csv"), "2013-04-01")
    with pytest.raises(SourceError, match="does not exist"):
        landed(reading(flight_delays, "s3://no-lake/a.csv"), "2013-04-01")
    monkeypatch.setenv("AIRFLOW_CONN_FALSE", connection(store, store.url, "falsch-geheim"))
    with pytest.raises(SourceError, match="cannot be read") as raised:
        landed(reading(flight_delays, "s3://lake/weather.csv", "false"), "2013-04-01")
    assert "falsch-geheim" not in str(raised.value)
    monkeypatch.setenv("AIRFLOW_CONN_GONE", connection(store, f"http://127.0.0.1:{free_port()}"))
    with pytest.raises(RetryableError, match="the source does not answer"):
        landed(reading(flight_delays, "s3://lake/weather.csv", "gone"), "2013-04-01")


def test_airflow_gives_the_credentials_through_the_amazon_provider(
    installation: Settings, flight_delays: UseCase, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlforge_airflow.hooks.connections import airflow_connection, use_airflow_connections

    monkeypatch.setattr(connections, "_resolvers", [])
    monkeypatch.setenv("AIRFLOW_CONN_LAKE", connection(store, store.url))
    use_airflow_connections()
    found = airflow_connection("lake")
    assert found is not None
    assert (found.login, found.password) == (store.access_key, store.secret_key)
    assert found.extra == {"endpoint_url": store.url, "region_name": "us-east-1"}
    assert landed(reading(flight_delays, "s3://lake/weather.csv"), "2013-04-01").rows == 72
    assert airflow_connection("nobody") is None
