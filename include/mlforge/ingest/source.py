"""Sources, whatever their kind: rows of some days, each with its UTC day."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlforge import storage
from mlforge.connections import without_password
from mlforge.errors import MAX_EXAMPLES, EmptyPartitionError, PartitionNotReadyError, SourceError
from mlforge.ingest.casting import cast_column, require_source_column
from mlforge.ingest.files import SourceFiles, file_uri
from mlforge.ingest.formats import parse_file
from mlforge.ingest.pages import pages_uri, read_pages
from mlforge.ingest.queries import query_uri, read_query
from mlforge.settings import get_settings
from mlforge.spec.sources import FileSource, HttpSource

if TYPE_CHECKING:
    import pyarrow as pa

    from mlforge.refs import PartitionRange
    from mlforge.spec.sources import Source

DAY = "_partition_day"
_LAYOUT = "2"  # part of the kept file's name: another layout is another file
_ROW_GROUP = 8192


def source_uri(source: Source) -> str:
    """Return the address of a source, without user, password and parameters.

    Raises:
        SourceError: It names a package that is not installed.
        SettingsError: It names a connection that there is not.
    """
    if isinstance(source, FileSource):
        return without_password(file_uri(source))
    return pages_uri(source) if isinstance(source, HttpSource) else query_uri(source)


def read_source(
    source: Source,
    days: PartitionRange | None,
    *,
    folder: Path = Path(),
    kinds: Mapping[str, pa.DataType] | None = None,
) -> pa.Table:
    """Return a source's rows of some days, in its order, with the UTC day of each as the column `DAY`.

    Args:
        source: Where the rows lie. CSV columns are text.
        days: Which days; None for a static dataset, which comes whole and has no such column.
        folder: The use case's folder, which holds queries.
        kinds: Types of columns, so that JSON lines are not guessed.

    Raises:
        EmptyPartitionError: A partition has no file.
        PartitionNotReadyError: It has none, and `source.wait` says that it may be late.
        SourceError: The source cannot be read as declared.
        RetryableError: It does not answer.
    """
    if isinstance(source, FileSource):
        if days is not None and source.one_per_partition:
            return _within(_read_each(source, days, kinds or {}), source, days)
        return read_kept(source, days, kinds or {})
    if isinstance(source, HttpSource):
        return _within(read_pages(source, days), source, days)
    return _within(read_query(source, days, folder), source, days)


def read_kept(
    source: FileSource,
    days: PartitionRange | None,
    kinds: Mapping[str, pa.DataType],
    columns: list[str] | None = None,
) -> pa.Table:
    """Return the rows of some days of a file that holds all of them.

    The file is parsed once and kept as Parquet by day, under the hash of its content.

    Args:
        source: The file.
        days: Which days; None for all.
        kinds: Types of columns, so that JSON lines are not guessed.
        columns: Which columns; None for all.

    Raises:
        SourceError: The file cannot be read as declared.
        RetryableError: The storage does not answer.
    """
    import pyarrow.parquet as pq

    files, uri = SourceFiles(source), file_uri(source)
    version, content = files.read_with_version(uri)
    name = f"sources/{version}.{source.format}.{_reading(source, kinds)}.parquet"
    system, path = storage.filesystem(f"{get_settings().storage}/{name}")
    if not system.exists(path):
        table = parse_file(files.read(uri) if content is None else content, source, without_password(uri), kinds)
        if source.partition_column is not None:
            table = with_day(table, source, without_password(uri))
        buffer = io.BytesIO()
        # Columns without statistics: only the day is ever filtered on.
        pq.write_table(table, buffer, compression="zstd", row_group_size=_ROW_GROUP, write_statistics=[DAY])
        storage.put_named(name, buffer.getvalue())
    filters = None
    if days is not None:
        filters = [(DAY, ">=", days.start.date()), (DAY, "<", days.end.date())]
    return pq.read_table(path, filesystem=system, filters=filters, columns=columns)


def _reading(source: FileSource, kinds: Mapping[str, pa.DataType]) -> str:
    """Return a short name of the way in which a file is read: the same bytes read otherwise are kept beside."""
    way: list[Any] = [_LAYOUT, source.partition_column, source.timezone, source.encoding]
    if source.format == "jsonl":
        way.append(sorted((name, str(kind)) for name, kind in kinds.items()))
    return hashlib.sha256(repr(way).encode()).hexdigest()[:12]


def _read_each(source: FileSource, days: PartitionRange, kinds: Mapping[str, pa.DataType]) -> pa.Table:
    import pyarrow as pa

    uris = {key: file_uri(source, key) for key in days.keys}
    contents = SourceFiles(source).read_all(list(uris.values()))
    gone = [key for key, uri in uris.items() if contents[uri] is None]
    if gone:
        kind = EmptyPartitionError if source.wait is None else PartitionNotReadyError
        raise kind(
            f"there is no file for {len(gone)} of {len(days)} partitions",
            where=without_password(file_uri(source)),
            evidence=gone,
            hint="deliver the files, or correct `source.path`",
        )
    tables = []
    for key, uri in uris.items():
        where = without_password(uri)
        table = parse_file(contents[uri] or b"", source, where, kinds)
        day = next(part for part in days if part.key == key)
        tables.append(_within(table, source, day, where))
    try:
        return pa.concat_tables(tables, promote_options="permissive").drop_columns([DAY])
    except pa.ArrowException as error:
        raise SourceError(
            f"the files of the partitions differ in their columns: {' '.join(str(error).split())}",
            where=without_password(file_uri(source)),
            hint="load the partitions one by one to find the file",
        ) from error


def _within(table: pa.Table, source: Source, days: PartitionRange | None, where: str | None = None) -> pa.Table:
    """Return rows with their day, after checking that the source gave none of another partition."""
    import pyarrow.compute as pc

    if days is None:
        return table
    where = where or source_uri(source)
    if not len(table):
        return _without_rows(table)
    table = with_day(table, source, where)
    outside = pc.or_(pc.less(table[DAY], days.start.date()), pc.greater_equal(table[DAY], days.end.date()))
    wrong = pc.sum(outside).as_py()
    if wrong:
        moments = table.filter(outside)[source.partition_column].slice(0, MAX_EXAMPLES + 1).to_pylist()
        raise SourceError(
            f"{wrong} of {len(table)} rows that it gave for {days.key} are of other days",
            where=where,
            evidence=map(str, moments),
            hint="correct the source, its query or its `timezone`",
        )
    return table


def _without_rows(table: pa.Table) -> pa.Table:
    import pyarrow as pa

    return table if DAY in table.column_names else table.append_column(DAY, pa.nulls(0, pa.date32()))


def with_day(table: pa.Table, source: Source, where: str) -> pa.Table:
    """Return the rows with the UTC day of their partition column, sorted by it.

    Raises:
        SourceError: The column is missing, a row has none, or it is no time.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    column = source.partition_column or ""
    require_source_column(table, column, where)
    moments = cast_column(table[column], pa.timestamp("us", tz="UTC"), column, where, timezone=source.timezone)
    if moments.null_count:
        raise SourceError(
            f"{moments.null_count} rows have no {column}, so no partition", where=where, hint="fill the column in"
        )
    if DAY in table.column_names:
        table = table.drop_columns([DAY])
    table = table.append_column(DAY, pc.cast(pc.floor_temporal(moments, unit="day"), pa.date32()))
    day = pc.cast(table[DAY], pa.int32()).to_numpy()
    if (day[1:] >= day[:-1]).all():
        return table
    # A stable sort, which Arrow's is not, keeps the source's order within a day.
    return table.take(pa.array(day.argsort(kind="stable")))
