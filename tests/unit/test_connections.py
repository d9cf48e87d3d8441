from __future__ import annotations

import json

import pytest

from mlforge import connections
from mlforge.connections import (
    Connection,
    read_connection,
    resolve_connection,
    s3_options,
    use_resolver,
    without_password,
)
from mlforge.errors import SettingsError

SECRET = "p@ss/w:rd"


def test_a_uri_and_json_say_the_same() -> None:
    by_uri = read_connection("shop", "postgresql://ann:p%40ss%2Fw%3Ard@db.example:5433/sales?sslmode=require")
    value = {"conn_type": "postgres", "login": "ann", "password": SECRET, "host": "db.example", "port": 5433,
             "schema": "sales", "extra": {"sslmode": "require"}}  # fmt: skip
    assert by_uri == read_connection("shop", json.dumps(value))
    assert by_uri == read_connection("shop", json.dumps({**value, "extra": json.dumps(value["extra"])}))
    assert (by_uri.kind, by_uri.password, by_uri.extra) == ("postgres", SECRET, {"sslmode": "require"})


def test_the_environment_is_asked_when_no_resolver_knows_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_resolvers", [])
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", "http://ann@shop.example")
    asked: list[str] = []

    def resolver(name: str) -> Connection | None:
        asked.append(name)
        return Connection(name=name, kind="http", host="other.example") if name == "known" else None

    use_resolver(resolver)
    use_resolver(resolver)
    assert resolve_connection("known").host == "other.example"
    assert resolve_connection("shop").host == "shop.example"
    assert asked == ["known", "shop"]


def test_a_connection_that_is_not_there_is_an_error_with_the_next_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_resolvers", [])
    with pytest.raises(SettingsError, match=r"no connection 'shop' in the environment.*AIRFLOW_CONN_SHOP"):
        resolve_connection("shop")


@pytest.mark.parametrize("text", ['{"conn_type": "p", "password": "geheim"', "geheim", "postgres://a:geheim@h:port/d"])
def test_what_cannot_be_read_is_not_shown(text: str) -> None:
    with pytest.raises(SettingsError, match="neither a URI nor JSON") as raised:
        read_connection("shop", text)
    assert "geheim" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_no_secret_is_shown() -> None:
    connection = Connection(
        name="shop", kind="http", password=SECRET, extra={"X-Api-Key": "geheim", "deep": {"aws_session_token": "tief"}},
        sql_url="x://ann:p%40ss%2Fw%3Ard@h/d",
    )  # fmt: skip
    said = connection.redact(f"it is {SECRET},\n p%40ss%2Fw%3Ard, geheim, tief or x://ann:p%40ss%2Fw%3Ard@h/d")
    assert said == "it is ***, ***, ***, *** or ***"
    assert "geheim" not in repr(connection)
    assert SECRET not in repr(connection)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("s3://bucket/key", "s3://bucket/key"),
        ("/data/a.csv", "/data/a.csv"),
        ("sftp://ann:geheim@host:22/a.csv", "sftp://host:22/a.csv"),
        ("https://host/a?token=geheim", "https://host/a"),
    ],
)
def test_an_address_is_shown_without_what_is_secret(url: str, shown: str) -> None:
    assert without_password(url) == shown


def test_s3_takes_the_credentials_and_the_address() -> None:
    text = json.dumps({"conn_type": "aws", "login": "k", "password": "s",
                       "extra": {"endpoint_url": "http://s3", "region_name": "eu-central-1"}})  # fmt: skip
    wanted = {"key": "k", "secret": "s", "endpoint_url": "http://s3", "client_kwargs": {"region_name": "eu-central-1"}}
    assert s3_options(read_connection("lake", text)) == wanted
    assert s3_options(Connection(name="lake", kind="aws")) == {"client_kwargs": {}}
