"""Source files: read once, kept as Parquet by the hash of their content, then read by day."""

from __future__ import annotations

import hashlib
import io
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from mlforge import storage
from mlforge.errors import RetryableError, SourceError
from mlforge.settings import get_settings

if TYPE_CHECKING:
    import pyarrow as pa

    from mlforge.refs import PartitionRange
    from mlforge.spec.sources import FileSource

DAY = "_partition_day"
MISSING = ["", "NA"]
_LAYOUT = "1"  # part of the kept file's name: another layout is another file
_ROW_GROUP = 8192


def source_uri(source: FileSource) -> str:
    """Return the address of a source's file: `package:NAME/path` becomes the path inside the installed package.

    Raises:
        SourceError: The package is not installed.
    """
    if not source.path.startswith("package:"):
        return source.path if "://" in source.path else str(Path(source.path).expanduser().resolve())
    package, _, relative = source.path.removeprefix("package:").partition("/")
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise SourceError(f"the package {package!r} is not installed", where=source.path, hint=f"install {package}")
    return str(Path(spec.submodule_search_locations[0]) / relative)


def read_source(source: FileSource, days: PartitionRange | None) -> pa.Table:
    """Return a source's rows of some days, in the file's order; CSV columns are text.

    Args:
        source: Where the file lies.
        days: Which days; None for a static dataset, which comes whole.

    Raises:
        SourceError: The file cannot be read as declared.
        RetryableError: The storage does not answer.
    """
    import pyarrow.parquet as pq

    uri = source_uri(source)
    content = _read_file(uri)
    digest = hashlib.sha256(content).hexdigest()
    name = f"sources/{digest}.{source.format}.{source.partition_column or 'whole'}.{_LAYOUT}.parquet"
    kept = f"{get_settings().storage}/{name}"
    system, path = storage.filesystem(kept)
    if not system.exists(path):
        buffer = io.BytesIO()
        table = _parse(content, source, uri)
        # Columns without statistics: only the day is ever filtered on.
        pq.write_table(table, buffer, compression="zstd", row_group_size=_ROW_GROUP, write_statistics=[DAY])
        storage.put_named(name, buffer.getvalue())
    filters = None if days is None else [(DAY, ">=", f"{days.start:%Y-%m-%d}"), (DAY, "<", f"{days.end:%Y-%m-%d}")]
    return pq.read_table(path, filesystem=system, filters=filters)


def _read_file(uri: str) -> bytes:
    system, path = storage.filesystem(uri)
    try:
        content: bytes = system.cat_file(path)
    except FileNotFoundError as error:
        raise SourceError("the source file does not exist", where=uri, hint="correct `source.path`") from error
    except (IsADirectoryError, PermissionError) as error:
        raise SourceError(
            f"the source file cannot be read: {error}", where=uri, hint="correct `source.path`"
        ) from error
    except OSError as error:
        raise RetryableError(f"the source does not answer: {error}", where=uri, hint="try again later") from error
    return content


def _parse(content: bytes, source: FileSource, uri: str) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if source.format == "parquet":
            table = pq.read_table(io.BytesIO(content))
        else:
            table = _read_csv(_unzip(content) if zipfile.is_zipfile(io.BytesIO(content)) else content)
    except (pa.ArrowInvalid, zipfile.BadZipFile, SourceError) as error:
        raise SourceError(
            f"cannot be read as {source.format}: {error}", where=uri, hint="correct the file or `source.format`"
        ) from error
    if source.partition_column is None:
        return table
    return _with_day(table, source.partition_column, uri)


def _unzip(content: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/")]
        if len(names) != 1:
            raise SourceError(f"the archive holds {len(names)} files instead of one", evidence=names)
        return archive.read(names[0])


def _read_csv(content: bytes) -> pa.Table:
    """Return all columns as text: one value that is wrong must not stop the other days."""
    import pyarrow as pa
    from pyarrow import csv

    first_line = io.BytesIO(content).readline() + b"\n"
    header = csv.read_csv(io.BytesIO(first_line)).column_names
    options = csv.ConvertOptions(
        column_types=dict.fromkeys(header, pa.string()), null_values=MISSING, strings_can_be_null=True
    )
    return csv.read_csv(io.BytesIO(content), convert_options=options)


def _with_day(table: pa.Table, column: str, uri: str) -> pa.Table:
    """Return the rows with the UTC day of their partition column, sorted by it."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from mlforge.ingest.casting import cast_column, require_source_column

    require_source_column(table, column, uri)
    moments = cast_column(table[column], pa.timestamp("us", tz="UTC"), column, uri)
    if moments.null_count:
        raise SourceError(
            f"{moments.null_count} rows have no {column}, so no partition", where=uri, hint="fill the column in"
        )
    table = table.append_column(DAY, pc.strftime(moments, format="%Y-%m-%d"))
    # Arrow's sort is not stable: the row number keeps the file's order within a day.
    order = pa.table({"day": table[DAY], "row": pa.array(range(len(table)), pa.int64())})
    return table.take(pc.sort_indices(order, sort_keys=[("day", "ascending"), ("row", "ascending")]))
