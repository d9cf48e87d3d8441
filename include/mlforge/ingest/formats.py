"""What a file's bytes say: CSV, JSON lines and Parquet; whatever is wrong with them is one error."""

from __future__ import annotations

import csv as lines
import io
import json
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mlforge.errors import SourceError

if TYPE_CHECKING:
    import pyarrow as pa

    from mlforge.spec.sources import FileSource

MISSING = ["", "NA"]
_SHOWN = 80  # characters of a broken line
_HEAD = 1 << 16  # bytes in which the first line of a CSV ends


def parse_file(content: bytes, source: FileSource, uri: str, kinds: Mapping[str, pa.DataType]) -> pa.Table:
    """Return a file's rows in its order; CSV columns are text.

    Args:
        content: The file.
        source: What it should be.
        uri: Its address, for the error.
        kinds: Types of columns, so that JSON lines are not guessed.

    Raises:
        SourceError: It is not what it should be; the error says what is wrong and where.
    """
    import pyarrow as pa

    try:
        table = _parse(content, source, kinds)
    except SourceError as error:
        raise SourceError(
            f"cannot be read as {source.format}: {error.what}",
            where=uri,
            evidence=error.evidence,
            hint=error.hint or "correct the file or `source.format`",
        ) from error
    except (pa.ArrowException, OSError, EOFError, zlib.error, zipfile.BadZipFile, RuntimeError) as error:
        # Besides its own errors pyarrow raises OSError, and zipfile RuntimeError, for content that is broken.
        raise SourceError(
            f"cannot be read as {source.format}: {' '.join(str(error).split())}",
            where=uri,
            hint="correct the file or `source.format`",
        ) from error
    return table


def _parse(content: bytes, source: FileSource, kinds: Mapping[str, pa.DataType]) -> pa.Table:
    import pyarrow.parquet as pq

    if not content:
        raise SourceError("the file is empty", hint="deliver the file again")
    if source.format == "parquet":
        table = pq.ParquetFile(io.BytesIO(content)).read()
        _require_distinct(table.column_names)
        return table
    text = _utf8(_unzip(content), source.encoding)
    if not text.strip():
        raise SourceError("the file is empty", hint="deliver the file again")
    return _read_csv(text) if source.format == "csv" else _read_json_lines(text, kinds)


def _unzip(content: bytes) -> bytes:
    if not content.startswith(b"PK"):
        return content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/")]
        if len(names) != 1:
            raise SourceError(f"the archive holds {len(names)} files instead of one", evidence=names)
        return archive.read(names[0])


def _utf8(content: bytes, encoding: str) -> bytes:
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise SourceError(
            f"the byte {error.start} is no {encoding}",
            evidence=[repr(content[max(error.start - 20, 0) : error.start + 10])],
            hint="set `source.encoding` to what the file is written in, such as latin-1",
        ) from None
    return text.removeprefix("\ufeff").encode()


def _read_csv(content: bytes) -> pa.Table:
    """Return all columns as text: one value that is wrong must not stop the other days."""
    import pyarrow as pa
    from pyarrow import csv

    quotes = content.count(b'"')
    if quotes % 2:
        raise SourceError("it ends within a quoted value", hint="it was cut off; deliver the file again")
    parse = csv.ParseOptions(newlines_in_values=quotes > 0)
    header = next(lines.reader(io.StringIO(content[:_HEAD].decode(errors="ignore"))), [])
    _require_distinct(header)
    options = csv.ConvertOptions(
        column_types=dict.fromkeys(header, pa.string()), null_values=MISSING, strings_can_be_null=True
    )
    return csv.read_csv(io.BytesIO(content), parse_options=parse, convert_options=options)


def _require_distinct(names: Sequence[str]) -> None:
    twice = sorted({name for name in names if list(names).count(name) > 1})
    if twice:
        raise SourceError(
            f"{len(twice)} columns come more than once", evidence=twice, hint="give each column a name of its own"
        )


def _read_json_lines(content: bytes, kinds: Mapping[str, pa.DataType]) -> pa.Table:
    import pyarrow as pa
    from pyarrow import json as arrow_json

    options = arrow_json.ParseOptions(explicit_schema=pa.schema([(name, _json_type(kinds[name])) for name in kinds]))
    try:
        return arrow_json.read_json(io.BytesIO(content), parse_options=options)
    except pa.ArrowInvalid:
        # Slower, but it names the line, or keeps values that differ in type as text, which the cast then names.
        return table_of(_records(content))


def _json_type(kind: pa.DataType) -> pa.DataType:
    import pyarrow as pa

    if pa.types.is_integer(kind):
        return pa.int64()
    return kind if pa.types.is_floating(kind) or pa.types.is_boolean(kind) else pa.string()


def _records(content: bytes) -> list[dict[str, Any]]:
    records = []
    for number, line in enumerate(content.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            if not isinstance(record, dict):
                raise ValueError("no object")
        except ValueError as error:
            raise SourceError(
                f"the line {number} is no JSON object: {error}", evidence=[repr(line[:_SHOWN].decode())]
            ) from None
        records.append(record)
    return records


def table_of(records: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Return records as a table with the columns of all of them; one that a record lacks is missing there."""
    import pyarrow as pa

    names = dict.fromkeys(name for record in records for name in record)
    return pa.table({name: column_of([record.get(name) for record in records]) for name in names})


def column_of(values: Iterable[Any]) -> pa.Array:
    """Return values as a column; as text where they differ in type, so that the cast can name the wrong ones."""
    import pyarrow as pa

    held = list(values)
    try:
        return pa.array(held)
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        return pa.array([_as_text(value) for value in held], pa.string())


def _as_text(value: object) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value, default=str)
