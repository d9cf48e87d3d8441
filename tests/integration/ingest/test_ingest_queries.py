"""Sources that are databases: PostgreSQL by its own way, any other by SQLAlchemy's."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from mlforge import db
from mlforge.errors import EmptyPartitionError, PartitionNotReadyError, ServiceUnavailableError, SourceError
from mlforge.ingest import extract_partition
from mlforge.ingest.arrival import first_missing
from mlforge.ingest.queries import has_rows, query_uri, read_query
from mlforge.ingest.source import DAY, read_source
from mlforge.refs import PartitionRange
from mlforge.settings import Settings, get_settings
from mlforge.spec import UseCase
from mlforge.spec.sources import SqlSource
from processes import free_port

pytestmark = pytest.mark.integration
FIRST = PartitionRange.parse("2013-04-01")
DAYS = PartitionRange.parse("2013-04-01..2013-04-02")
PASSWORD = "geheim%/:@"

_TABLE = """
    CREATE SCHEMA shop;
    CREATE TABLE shop.sales (
        "Id" integer PRIMARY KEY, at timestamptz, local timestamp, day date, amount numeric(10, 2), paid boolean,
        note text, tags text[], place jsonb);
    INSERT INTO shop.sales
    SELECT n, timestamptz '2013-04-01T00:00:00Z' + n * interval '6 hours',
           timestamp '2013-03-31T20:00:00' + n * interval '6 hours', date '2013-04-01' + n / 4,
           n + 0.25, n % 2 = 0, CASE n WHEN 0 THEN '' WHEN 1 THEN NULL ELSE '50 % off: "x"' END, '{a,b}', '{"x": 1}'
    FROM generate_series(0, 11) AS n ORDER BY n DESC
"""


@pytest.fixture(scope="module")
def shop(module_database: Settings) -> Iterator[str]:
    """Give the name of a connection of a user who may read one table."""
    with db.connect() as connection:
        connection.execute(_TABLE)
        connection.execute("CREATE ROLE clerk LOGIN PASSWORD 'geheim%/:@'")
        connection.execute("GRANT USAGE ON SCHEMA shop TO clerk")
        connection.execute("GRANT SELECT ON shop.sales TO clerk")
    port = module_database.postgres_port
    with pytest.MonkeyPatch.context() as patch:
        address = f"clerk:geheim%25%2F%3A%40@127.0.0.1:{port}/mlforge?connect_timeout=5"
        patch.setenv("AIRFLOW_CONN_SHOP", f"postgresql://{address}")
        yield "shop"
    with db.connect() as connection:
        connection.execute("DROP SCHEMA shop CASCADE")
        connection.execute("DROP ROLE clerk")


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Give the name of a connection to a SQLite file with the same sales, whose times have no zone."""
    with sqlite3.connect(tmp_path / "shelf.db") as connection:
        connection.execute("CREATE TABLE sales (id integer, at timestamp, amount real, note text)")
        rows = [(n, f"2013-04-0{1 + n // 4} {6 * (n % 4):02}:00:00.000000", n + 0.25, "12:30") for n in range(12)]
        connection.executemany("INSERT INTO sales VALUES (?, ?, ?, ?)", rows)
    monkeypatch.setenv("AIRFLOW_CONN_SHELF", '{"conn_type": "sqlite", "schema": "%s"}' % (tmp_path / "shelf.db"))
    return "shelf"


def source(connection: str, **other: Any) -> SqlSource:
    return SqlSource.model_validate({"kind": "sql", "connection": connection, "partition_column": "at", **other})


def test_a_table_gives_the_partitions_rows_with_their_types(shop: str) -> None:
    table = read_source(source(shop, table="shop.sales"), DAYS)
    rows = sorted(table.to_pylist(), key=lambda row: row["Id"])
    assert [row["Id"] for row in rows] == list(range(8))
    assert [str(row[DAY]) for row in rows] == ["2013-04-01"] * 4 + ["2013-04-02"] * 4
    assert [(row["note"], row["paid"], float(row["amount"])) for row in rows[:3]] == [
        ("", True, 0.25), (None, False, 1.25), ('50 % off: "x"', True, 2.25),
    ]  # fmt: skip


def test_a_query_binds_the_bounds_and_the_key(shop: str, tmp_path: Path) -> None:
    (tmp_path / "sales.sql").write_text(
        "-- a single quote' and a colon: nothing happens\n"
        "SELECT * FROM shop.sales WHERE at >= %(start)s AND at < %(end)s AND note LIKE '50 %% off%%' ORDER BY 1;\n"
    )
    table = read_query(source(shop, query="sales.sql"), DAYS, tmp_path)
    assert table["Id"].to_pylist() == [2, 3, 4, 5, 6, 7]
    (tmp_path / "sales.sql").write_text("SELECT * FROM shop.sales WHERE day = %(partition_key)s::date")
    assert len(read_query(source(shop, query="sales.sql"), DAYS, tmp_path)) == 8


def test_times_without_a_zone_are_bound_in_the_declared_one(shop: str) -> None:
    local = source(shop, table="shop.sales", partition_column="local", timezone="America/New_York")
    assert sorted(read_source(local, FIRST)["Id"].to_pylist()) == [0, 1, 2, 3]
    assert sorted(read_source(source(shop, table="shop.sales", partition_column="day"), FIRST)["Id"].to_pylist()) == [
        0, 1, 2, 3,
    ]  # fmt: skip


def test_every_other_database_is_asked_through_sqlalchemy(shelf: str, tmp_path: Path) -> None:
    import feast.infra.online_stores.sqlite  # noqa: F401  it changes how SQLite's driver writes times

    assert read_source(source(shelf, table="sales"), DAYS)["id"].to_pylist() == list(range(8))
    (tmp_path / "sales.sql").write_text(
        "SELECT * FROM sales WHERE at >= %(start)s AND at < %(end)s AND note = '12:30' AND note LIKE '12%%'"
    )
    query = source(shelf, query="sales.sql")
    assert read_source(query, FIRST, folder=tmp_path)["amount"].to_pylist() == [0.25, 1.25, 2.25, 3.25]
    assert has_rows(query, FIRST, tmp_path)
    assert not has_rows(query, PartitionRange.parse("2013-05-01"), tmp_path)


def test_a_query_that_gives_other_days_is_an_error(shop: str, tmp_path: Path) -> None:
    (tmp_path / "sales.sql").write_text("SELECT * FROM shop.sales")
    with pytest.raises(SourceError, match=r"8 of 12 rows that it gave for 2013-04-01 are of other days"):
        read_source(source(shop, query="sales.sql"), FIRST, folder=tmp_path)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELEC 1", 'the query fails: .*syntax error at or near "SELEC"'),
        ("SELECT * FROM shop.sale", 'relation "shop.sale" does not exist'),
        ("SELECT * FROM ledger.releases", "permission denied for schema ledger"),
        ("SELECT 1/0 AS at", "division by zero"),
        ("SELECT %(begin)s", r"the query binds 'begin' → it may bind end, partition_key, start"),
        ("SELECT 5 % 2", "a single per cent sign → write it twice"),
        ("SELECT 1 AS \"Id\"", "no column 'at'"),
    ],
)  # fmt: skip
def test_a_query_that_is_wrong_is_one_error(shop: str, tmp_path: Path, query: str, message: str) -> None:
    (tmp_path / "sales.sql").write_text(query)
    with pytest.raises(SourceError, match=message) as raised:
        read_source(source(shop, query="sales.sql"), FIRST, folder=tmp_path)
    assert PASSWORD not in str(raised.value)


def test_no_password_is_in_an_address_or_a_message(shop: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    port = get_settings().postgres_port
    assert query_uri(source(shop, table="shop.sales")) == f"postgres://127.0.0.1:{port}/mlforge.shop.sales"
    assert query_uri(source(shop, query="a.sql")) == f"postgres://127.0.0.1:{port}/mlforge/a.sql"
    for address in (f"clerk:falsch-geheim@127.0.0.1:{port}", f"clerk:falsch-geheim@127.0.0.1:{free_port()}"):
        monkeypatch.setenv("AIRFLOW_CONN_WRONG", f"postgresql://{address}/mlforge?connect_timeout=5")
        with pytest.raises(ServiceUnavailableError, match="the database does not answer") as raised:
            read_source(source("wrong", table="shop.sales"), FIRST)
        assert "falsch-geheim" not in str(raised.value)
        assert raised.value.__cause__ is None


def test_a_driver_that_is_not_installed_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_BIG", "nosuchdb://ann:geheim@h/d")
    with pytest.raises(SourceError, match=r"cannot be reached.*install the driver") as raised:
        read_source(source("big", table="sales"), FIRST)
    assert "geheim" not in str(raised.value)


def of_warehouse(use_case: UseCase, **other: Any) -> UseCase:
    """Return the use case whose weather comes from a table."""
    weather = use_case.dataset("weather")
    table = source("own", table="public.weather", partition_column="time_hour", **other)
    changed = {**use_case.datasets, "weather": weather.model_copy(update={"source": table})}
    return use_case.model_copy(update={"datasets": changed})


def test_rows_of_a_table_land_the_same_in_whatever_order_they_lie(
    module_database: Settings, flight_delays: UseCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_OWN", module_database.postgres_url())
    wanted = extract_partition(flight_delays, "weather", DAYS)
    rows = pq.read_table(wanted.uri.removeprefix("file://"))
    with pytest.raises(SourceError, match="does not exist"):
        extract_partition(of_warehouse(flight_delays), "weather", DAYS)
    hashes = set()
    for order in ("ascending", "descending"):
        _create("weather", rows.sort_by([("humid", order)]))
        hashes.add(extract_partition(of_warehouse(flight_delays), "weather", DAYS).content_hash)
    assert len(hashes) == 1
    with pytest.raises(EmptyPartitionError, match=r"no rows for 1 of 2 partitions \(2013-04-03\)"):
        extract_partition(of_warehouse(flight_delays), "weather", PartitionRange.between("2013-04-02", "2013-04-03"))
    waiting = of_warehouse(flight_delays, wait={"deadline_hours": 1})
    assert first_missing(waiting, "weather", PartitionRange.between("2013-04-02", "2013-04-03")) == "2013-04-03"
    with pytest.raises(PartitionNotReadyError, match="no rows yet"):
        extract_partition(waiting, "weather", PartitionRange.parse("2013-04-03"))


def _create(name: str, rows: Any) -> None:
    from adbc_driver_postgresql import dbapi

    with dbapi.connect(get_settings().postgres_url()) as connection, connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE IF EXISTS public.{name}")
        cursor.adbc_ingest(name, rows, mode="create", db_schema_name="public")
        connection.commit()
