"""What facets need beyond refs: sizes, null counts and columns of what was written, and results of contract checks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mlforge import db, storage
from mlforge.refs import RawPartition

if TYPE_CHECKING:
    from mlforge.spec import UseCase

_RESULTS = """
SELECT rule, min(severity), bool_and(passed), sum(rows_checked)::bigint, sum(rows_failed)::bigint
FROM ledger.contract_results
WHERE use_case = %(use_case)s AND dataset = %(dataset)s AND partition_key = ANY(%(keys)s)
  AND attempt = coalesce(%(attempt)s::bigint, (
      SELECT max(attempt) FROM ledger.contract_results
      WHERE use_case = %(use_case)s AND dataset = %(dataset)s AND partition_key = ANY(%(keys)s)))
GROUP BY rule ORDER BY min(result_id)
"""
_COLUMNS = """
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), coalesce(col_description(c.oid, a.attnum), '')
FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = to_regnamespace(%(schema)s) AND c.relname = ANY(%(tables)s)
ORDER BY c.relname, a.attnum
"""


def contract_results(use_case: UseCase, raw: RawPartition, attempt: int | None) -> list[dict[str, Any]]:
    """Return what the rules of a contract found in all partitions of an attempt; of the newest when none is given."""
    keys = [raw.partition_key, *use_case.partition_keys(raw.partition_key)]
    values = {"use_case": raw.use_case, "dataset": raw.dataset, "keys": keys, "attempt": attempt}
    with db.connect() as connection:
        rows = connection.execute(_RESULTS, values).fetchall()
    columns = ("rule", "severity", "passed", "rows_checked", "rows_failed")
    return [dict(zip(columns, row, strict=True)) for row in rows]


def table_columns(schema: str, tables: Sequence[str]) -> dict[str, list[tuple[str, str, str]]]:
    """Return the columns of tables: name, SQL type, description."""
    found: dict[str, list[tuple[str, str, str]]] = {}
    with db.connect() as connection:
        for table, *column in connection.execute(_COLUMNS, {"schema": schema, "tables": list(tables)}).fetchall():
            found.setdefault(table, []).append((column[0], column[1], column[2]))
    return found


def file_size(uri: str) -> int | None:
    """Return a file's bytes, none if the storage does not tell."""
    system, path = storage.filesystem(uri)
    try:
        size = system.size(path)
    except OSError:
        return None
    return int(size) if size is not None else None


def parquet_facts(uri: str) -> tuple[dict[str, int], int | None]:
    """Return the nulls of each column, from the file's own statistics, and its bytes; what is unknown is left out."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    system, path = storage.filesystem(uri)
    try:
        with system.open(path, "rb") as file:
            footer = pq.ParquetFile(file).metadata
    except (OSError, pa.ArrowInvalid):
        return {}, None
    nulls: dict[str, int] = {}
    for group in range(footer.num_row_groups):
        for place in range(footer.num_columns):
            column = footer.row_group(group).column(place)
            if column.statistics is not None and column.statistics.has_null_count:
                nulls[column.path_in_schema] = nulls.get(column.path_in_schema, 0) + column.statistics.null_count
    return nulls, file_size(uri)


def parquet_columns(uri: str) -> list[tuple[str, str, str]]:
    """Return the columns of a Parquet file: name, Arrow type, no description; none if it cannot be read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    system, path = storage.filesystem(uri)
    try:
        with system.open(path, "rb") as file:
            found = pq.ParquetFile(file).schema_arrow
    except (OSError, pa.ArrowInvalid):
        return []
    return [(column.name, str(column.type), "") for column in found]
