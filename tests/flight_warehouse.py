"""Warehouse tables filled straight from the source, so that features are tested without the rooms before them."""

from __future__ import annotations

import io

import pyarrow.parquet as pq
from psycopg import sql

from mlforge import db, storage
from mlforge.ingest import extract_partition
from mlforge.refs import PartitionRange
from mlforge.settings import get_settings
from mlforge.spec import UseCase

_LEDGER = """
INSERT INTO ledger.publications
    (use_case, dataset, partition_key, version, attempt, rows_in, rows_published, rows_quarantined, rows_duplicate,
     content_hash, raw_uri, raw_hash, contract_version, code_version)
SELECT %s, %s, key, 1, 1, 0, 0, 0, 0, 'h', 'u', 'h', '1', 'c' FROM unnest(%s::text[]) AS key
"""


def fill_dataset(use_case: UseCase, dataset: str, days: PartitionRange) -> None:
    """Load a dataset's rows of some days into its warehouse table, and note them as published."""
    import adbc_driver_postgresql.dbapi as dbapi

    raw = extract_partition(use_case, dataset, days)
    rows = pq.read_table(io.BytesIO(storage.read_bytes(raw.uri)))
    columns = use_case.contract(dataset).columns
    table = sql.Identifier("warehouse", use_case.table(dataset))
    described = use_case.datasets[dataset]
    day = described.source.partition_column
    key = f"to_char({day} AT TIME ZONE 'UTC', 'YYYY-MM-DD')" if day else "'static'"
    with dbapi.connect(get_settings().postgres_url()) as connection, connection.cursor() as cursor:
        cursor.adbc_ingest(f"fill_{dataset}", rows.select([column.name for column in columns]), mode="replace")
        connection.commit()
    with db.connect() as connection:
        names = sql.SQL(", ").join(sql.Identifier(column.name) for column in columns)
        select = sql.SQL(
            "SELECT {names}, {key} AS partition_key, ({event}) AS event_timestamp, ({known}) AS known_at FROM {source}"
        ).format(
            names=names,
            key=sql.SQL(key),
            event=sql.SQL(described.event_timestamp),
            known=sql.SQL(described.known_at),
            source=sql.Identifier(f"fill_{dataset}"),
        )
        connection.execute(sql.SQL("CREATE TABLE IF NOT EXISTS {} AS {} LIMIT 0").format(table, select))
        connection.execute(sql.SQL("INSERT INTO {} {}").format(table, select))
        connection.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(f"fill_{dataset}")))
        connection.execute(_LEDGER, [use_case.name, dataset, days.keys if day else ["static"]])


def fill_warehouse(use_case: UseCase, days: PartitionRange) -> None:
    """Load every dataset: the days of those with partitions, the others whole."""
    for dataset, described in use_case.datasets.items():
        fill_dataset(use_case, dataset, days if described.partitioned else PartitionRange.parse("2013-01-01"))
