"""Names of datasets, by the naming specification."""

from __future__ import annotations

from pathlib import Path

import pytest
from openlineage.client.naming.dataset import S3, LocalFileSystem, Postgres

from mlforge.lineage import names
from mlforge.settings import Settings
from mlforge.spec import UseCase


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    settings = Settings(home=tmp_path)
    monkeypatch.setattr(names, "get_settings", lambda: settings)
    return settings


@pytest.mark.parametrize(
    ("uri", "namespace", "name"),
    [
        ("/data/x.csv", "file", "/data/x.csv"),
        ("file:///data/x.csv", "file", "/data/x.csv"),
        ("file://host/x.csv", "file://host", "/x.csv"),
        ("s3://bucket/a/b.parquet", "s3://bucket", "a/b.parquet"),
        ("gcs://bucket/a", "gs://bucket", "a"),
        ("https://user:secret@api.example/v1/rows?token=secret", "https://api.example", "v1/rows"),
        ("postgresql://user:secret@db:5432/shop", "postgres://db:5432", "shop"),
    ],
)
def test_a_uri_has_its_name_without_credentials(uri: str, namespace: str, name: str) -> None:
    assert names.uri_name(uri) == (namespace, name)
    assert "secret" not in "".join(names.uri_name(uri))


def test_names_are_those_of_openlineages_own_helpers(settings: Settings, flight_delays: UseCase) -> None:
    naming = Postgres("127.0.0.1", str(settings.postgres_port), "mlforge", "warehouse", "flight_delays__flights")
    expected = (naming.get_namespace(), naming.get_name())
    assert names.warehouse_name(flight_delays, "flights") == expected
    bucket = S3("b", "raw/x")
    assert names.uri_name("s3://b/raw/x") == (bucket.get_namespace(), bucket.get_name())
    local = LocalFileSystem("/a")
    assert names.uri_name("/a") == (local.get_namespace(), local.get_name())


def test_a_partitions_file_is_a_version_of_its_folder() -> None:
    assert names.uri_name("s3://b/raw/u/flights/2013-04-01/abc.parquet", up=2) == ("s3://b", "raw/u/flights")


def test_an_external_server_is_named_by_its_own_address(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, flight_delays: UseCase
) -> None:
    settings = Settings(
        home=tmp_path, database_url="postgresql://me:secret@db.example", mlflow_url="https://me:secret@mlflow.example"
    )
    monkeypatch.setattr(names, "get_settings", lambda: settings)
    assert names.table_name("ledger", "alerts") == ("postgres://db.example:5432", "mlforge.ledger.alerts")
    assert names.model_name("m") == ("mlflow://mlflow.example", "m")


def test_views_are_named_as_feast_names_them(flight_delays: UseCase) -> None:
    from feast.openlineage.identity import resolve_namespace

    from mlforge.features.store import PROJECT

    namespace = resolve_namespace(None, PROJECT)
    assert names.feature_view_name("weather") == (namespace, "weather")
    assert names.feast_source_name(flight_delays, "weather") == (namespace, "flight_delays__weather")
