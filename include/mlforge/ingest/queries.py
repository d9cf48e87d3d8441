"""Rows that a query gives: PostgreSQL through Arrow, every other database through SQLAlchemy."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from mlforge.connections import Connection, resolve_connection
from mlforge.errors import MLForgeError, ServiceUnavailableError, SourceError
from mlforge.ingest.formats import column_of

if TYPE_CHECKING:
    import pyarrow as pa
    import sqlalchemy as sa

    from mlforge.refs import PartitionRange
    from mlforge.spec.sources import SqlSource

_PLACE = re.compile(r"%(?:\((\w+)\)s|(%))|(%)")
_DRIVERS = {"postgres": "postgresql+psycopg", "mysql": "mysql+mysqldb", "mssql": "mssql+pymssql"}
# What libpq takes of an Airflow connection's extras; the others are for Airflow's own driver.
_LIBPQ = ("sslmode", "sslcert", "sslkey", "sslrootcert", "connect_timeout", "application_name", "target_session_attrs")
# SQLSTATE classes for which trying again changes nothing: data, credentials, names, privileges and syntax.
_TERMINAL_STATES = ("22", "28", "3D", "3F", "42", "0A")


def query_uri(source: SqlSource) -> str:
    """Return the address of a source as OpenLineage names it, a query by its file.

    Raises:
        SettingsError: There is no such connection.
    """
    connection = resolve_connection(source.connection)
    port = f":{connection.port}" if connection.port else ""
    place = f"{connection.kind}://{connection.host}{port}/{connection.schema.removeprefix('/')}"
    return f"{place}.{source.table}" if source.table else f"{place}/{source.query}"


def read_query(source: SqlSource, days: PartitionRange | None, folder: Path) -> pa.Table:
    """Return the rows that a query gives for some days.

    A query that names the partition's key is asked once per partition, every other one once for all.

    Args:
        source: The connection, and the query or the table.
        days: Which days; None for a static dataset.
        folder: The use case's folder, with the query.

    Raises:
        SourceError: The query is wrong, or binds what there is not.
        ServiceUnavailableError: The database does not answer.
    """
    import pyarrow as pa

    database = _Database(source, folder)
    if days is None or "partition_key" not in database.names:
        return database.rows(days)
    return pa.concat_tables([database.rows(day) for day in days], promote_options="permissive")


def has_rows(source: SqlSource, day: PartitionRange, folder: Path) -> bool:
    """Return whether a query gives a row for a partition.

    Raises:
        SourceError: The query is wrong, or binds what there is not.
        ServiceUnavailableError: The database does not answer.
    """
    return _Database(source, folder).has_rows(day)


class _Database:
    """A source's database with its query."""

    def __init__(self, source: SqlSource, folder: Path) -> None:
        self.source = source
        self.connection = resolve_connection(source.connection)
        self.where = query_uri(source)
        self.postgres = self.connection.kind == "postgres"
        self.query = self._query(folder)
        self.names = {match[1] for match in _PLACE.finditer(self.query) if match[1]}
        self._require_known()

    def rows(self, days: PartitionRange | None) -> pa.Table:
        values = self._values(days)
        return self._read_postgres(self.query, values) if self.postgres else self._read_other(values)

    def has_rows(self, day: PartitionRange) -> bool:
        values = self._values(day)
        if self.postgres:
            query = f"SELECT EXISTS (SELECT FROM ({self.query}\n) AS source) AS found"  # noqa: S608  the use case's SQL
            return bool(self._read_postgres(query, values)["found"][0].as_py())

        with self._explained(), self._connect() as connection:
            return (
                connection.execution_options(stream_results=True).execute(self._statement(), values).fetchone()
                is not None
            )

    def _query(self, folder: Path) -> str:
        if self.source.query is not None:
            return (folder / self.source.query).read_text(encoding="utf-8").strip().rstrip(";")
        quote = self._dialect().identifier_preparer.quote
        table = ".".join(quote(part) for part in str(self.source.table).split("."))
        every = f"SELECT * FROM {table}"  # noqa: S608  quoted by the dialect
        if self.source.partition_column is None:
            return every.replace("%", "%%")
        column = quote(self.source.partition_column)
        return f"{every.replace('%', '%%')} WHERE {column} >= %(start)s AND {column} < %(end)s"

    def _require_known(self) -> None:
        known = {"start", "end", "partition_key"} if self.source.partition_column else set()
        unknown = sorted(self.names - known)
        if unknown:
            raise SourceError(
                f"the query binds {unknown[0]!r}",
                where=self.where,
                hint=f"it may bind {', '.join(sorted(known)) or 'nothing: the dataset is static'}",
            )
        if any(match[3] for match in _PLACE.finditer(self.query)):
            raise SourceError("the query holds a single per cent sign", where=self.where, hint="write it twice: %%")

    def _values(self, days: PartitionRange | None) -> dict[str, Any]:
        if days is None:
            return {}
        start, end = days.start, days.end
        if not self.postgres:
            # Most databases and drivers know times without a zone only.
            zone = ZoneInfo(self.source.timezone)
            start, end = (moment.astimezone(zone).replace(tzinfo=None) for moment in (start, end))
        values = {"start": start, "end": end, "partition_key": days.key}
        return {name: values[name] for name in self.names}

    def _read_postgres(self, query: str, values: Mapping[str, Any]) -> pa.Table:
        """Return what a query gives; psycopg writes the values into it, so that PostgreSQL can COPY the rows."""
        import adbc_driver_manager
        from adbc_driver_postgresql import dbapi
        from psycopg.sql import Literal

        written = _bind(query, lambda name: Literal(values[name]).as_string(None))
        try:
            with dbapi.connect(self._conninfo()) as connection, connection.cursor() as cursor:
                cursor.execute(written)
                return _plain(cursor.fetch_arrow_table())
        except adbc_driver_manager.Error as error:
            raise self._explain(str(error), error.sqlstate or "") from None

    def _conninfo(self) -> str:
        import sqlalchemy as sa
        from psycopg.conninfo import make_conninfo

        url = sa.make_url(self._sqlalchemy_url())
        extra = {name: self.connection.extra[name] for name in _LIBPQ if name in self.connection.extra}
        return make_conninfo(
            host=url.host,
            port=url.port,
            user=url.username,
            password=url.password,
            dbname=url.database,
            # The zone in which PostgreSQL compares times that have none with the bounds.
            options=f"-c timezone={self.source.timezone}",
            **extra,
        )

    def _read_other(self, values: Mapping[str, Any]) -> pa.Table:
        import pyarrow as pa

        with self._explained(), self._connect() as connection:
            result = connection.execute(self._statement(), dict(values))
            names = list(result.keys())
            columns = list(zip(*result.fetchall(), strict=True)) or [()] * len(names)
        return pa.table([column_of(column) for column in columns], names=names)

    def _statement(self) -> sa.TextClause:
        """Return the query with its times typed: a library may have changed how a driver writes plain ones."""
        import sqlalchemy as sa

        times = [sa.bindparam(name, type_=sa.DateTime()) for name in ("start", "end") if name in self.names]
        return sa.text(_colons(self.query)).bindparams(*times)

    @contextmanager
    def _connect(self) -> Iterator[sa.Connection]:
        import sqlalchemy as sa

        engine = sa.create_engine(self._sqlalchemy_url(), poolclass=sa.NullPool, hide_parameters=True)
        with engine.connect() as connection:
            yield connection

    @contextmanager
    def _explained(self) -> Iterator[None]:
        import sqlalchemy as sa

        try:
            yield
        except sa.exc.DBAPIError as error:
            terminal = isinstance(error, sa.exc.ProgrammingError | sa.exc.DataError | sa.exc.NotSupportedError)
            raise self._explain(str(error.orig), "42" if terminal else "") from None
        except (sa.exc.ArgumentError, ModuleNotFoundError) as error:
            raise SourceError(
                f"the database cannot be reached: {self.connection.redact(error)}",
                where=self.where,
                hint=f"install the driver, or correct the connection {self.connection.name!r}",
            ) from None

    def _explain(self, text: str, state: str) -> MLForgeError:
        shown = self.connection.redact(text)
        if state.startswith(_TERMINAL_STATES):
            return SourceError(f"the query fails: {shown}", where=self.where, hint="correct the query or the table")
        return ServiceUnavailableError(
            f"the database does not answer: {shown}",
            where=self.where,
            hint=f"see the connection {self.connection.name!r}",
        )

    def _sqlalchemy_url(self) -> str:
        return self.connection.sql_url or _url_of(self.connection)

    def _dialect(self) -> sa.Dialect:
        import sqlalchemy as sa

        with self._explained():
            return sa.make_url(self._sqlalchemy_url()).get_dialect()()


def _url_of(connection: Connection) -> str:
    import sqlalchemy as sa

    return sa.URL.create(
        _DRIVERS.get(connection.kind, connection.kind),
        username=connection.login or None,
        password=connection.password or None,
        host=connection.host or None,
        port=connection.port,
        database=connection.schema or None,
    ).render_as_string(hide_password=False)


def _bind(query: str, write: Callable[[str], str]) -> str:
    """Return a query with each `%(name)s` written by a function, and each `%%` as one per cent sign."""
    return _PLACE.sub(lambda match: write(match[1]) if match[1] else "%", query)


def _colons(query: str) -> str:
    """Return a query whose values are bound as SQLAlchemy's `text` wants it; other colons are left alone."""
    escaped = re.sub(r"(?<![:\w\\]):(?=\w)", r"\\:", query)
    return _bind(escaped, lambda name: f":{name}")


def _plain(table: pa.Table) -> pa.Table:
    """Return a table without the driver's own types: a PostgreSQL numeric comes as text."""
    import pyarrow as pa

    for place, field in enumerate(table.schema):
        if isinstance(field.type, pa.BaseExtensionType):
            column = table.column(place)
            plain = pa.chunked_array([chunk.storage for chunk in column.chunks], field.type.storage_type)
            table = table.set_column(place, field.name, plain)
    return table
