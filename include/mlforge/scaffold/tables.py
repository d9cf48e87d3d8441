"""Reading a table of a database to learn from it; its address is a connection, never a line of a file."""

from __future__ import annotations

import tempfile
from pathlib import Path
from urllib.parse import urlsplit

from mlforge.connections import Connection, read_connection, resolve_connection, use_resolver
from mlforge.errors import SourceError, SpecError
from mlforge.scaffold.reading import SAMPLE_ROWS, Origin, Sample, scalar_columns

_FILE_SCHEMES = {"file", "s3", "s3a", "gs", "gcs", "http", "https", "abfs", "memory"}
_WITHOUT_LIMIT = {"mssql", "oracle"}
_QUERY = "sample.sql"


def is_database(address: str) -> bool:
    """Return whether an address is a database's, such as `postgresql://…`."""
    scheme = urlsplit(address).scheme if "://" in address else ""
    return bool(scheme) and scheme not in _FILE_SCHEMES and not scheme.startswith("package")


def read_table(address: str, table: str, *, name: str, rows: int = SAMPLE_ROWS) -> Sample:
    """Return the first rows of a table.

    Args:
        address: The name of a connection in Airflow, or a database's URL; that gets the connection `<name>_source`,
            so that no password is written down.
        table: `schema.table`.
        name: Name of the use case.
        rows: At most so many are read.

    Raises:
        SourceError: The table cannot be read, or is empty.
        SettingsError: There is no such connection.
        ServiceUnavailableError: The database does not answer.
    """
    from pydantic import ValidationError

    from mlforge.ingest.queries import query_uri, read_query
    from mlforge.spec.sources import SqlSource

    connection = _connection(address, name)
    try:
        source = SqlSource(kind="sql", connection=connection.name, table=table)
    except ValidationError:
        raise SpecError(f"{table!r} is no table", hint="write it as schema.table") from None
    where = query_uri(source)
    with tempfile.TemporaryDirectory(prefix="mlforge-init-") as folder:
        (Path(folder) / _QUERY).write_text(_sample_query(connection, table, rows), encoding="utf-8")
        query = SqlSource(kind="sql", connection=connection.name, query=_QUERY)
        found = read_query(query, None, Path(folder))
    if not len(found):
        raise SourceError("the table has no rows", where=where, hint="choose another --table")
    columns, left_out = scalar_columns(found.slice(0, rows))
    origin = Origin(where, {"kind": "sql", "connection": connection.name, "table": table})
    return Sample(origin, columns, text=True, whole=len(found) <= rows, left_out=left_out)


def _connection(address: str, name: str) -> Connection:
    if not is_database(address):
        return resolve_connection(address)
    connection = read_connection(f"{name}_source", address)
    use_resolver(lambda asked: connection if asked == connection.name else None)
    return connection


def _sample_query(connection: Connection, table: str, rows: int) -> str:
    quote = "`" if connection.kind == "mysql" else '"'
    quoted = ".".join(f"{quote}{part.replace(quote, quote * 2)}{quote}" for part in table.split("."))
    limit = "" if connection.kind in _WITHOUT_LIMIT else f" LIMIT {rows + 1}"
    return f"SELECT * FROM {quoted.replace('%', '%%')}{limit}"  # noqa: S608  quoted above
