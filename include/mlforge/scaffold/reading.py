"""Reading a source to learn from it: its columns with their types, and its rows, or the first of them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import IO, TYPE_CHECKING, Any, Literal, cast

from mlforge.errors import SourceError

if TYPE_CHECKING:
    import pyarrow as pa

Format = Literal["csv", "jsonl", "parquet"]
SAMPLE_ROWS = 1_000_000
_MISSING = ["", "NA"]  # as extraction reads them
_BLOCK = 4 << 20
_HEAD = 64 << 10
_PACKAGE = "package:"
_ZIP = b"PK\x03\x04"
_BINARY = (b"\x00", b"\xff\xfe", b"\xfe\xff")
_DELIMITERS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}


@dataclass(frozen=True)
class Origin:
    """Where rows come from.

    Attributes:
        label: For people.
        source: `datasets.<name>.source` of use_case.yaml, without its partition column.
    """

    label: str
    source: dict[str, Any]


@dataclass(frozen=True)
class Sample:
    """What was read.

    Attributes:
        table: Rows as they came; columns of a CSV are text.
        text: Whether every column came as text, so that types are to be found in it.
        whole: Whether these are all rows.
        left_out: Columns that no contract can have, with the reason.
        copies: How many rows were left out because they are exact copies of others.
    """

    origin: Origin
    table: pa.Table
    text: bool
    whole: bool
    left_out: dict[str, str] = field(default_factory=dict)
    copies: int = 0

    def once(self) -> Sample:
        """Return the sample with exact copies of rows left out, as publication leaves them out."""
        distinct = self.table.group_by(self.table.column_names, use_threads=False).aggregate([])
        table = distinct.select(self.table.column_names)
        return replace(self, table=table, copies=len(self.table) - len(table))


def read_file(path: str, *, rows: int = SAMPLE_ROWS) -> Sample:
    """Return the first rows of a file: CSV, a zip of one CSV, Parquet or JSON lines, told apart by their content.

    Args:
        path: Local path, fsspec URL, or `package:NAME/path` for a file inside an installed package.
        rows: At most so many are read, whatever the size of the file.

    Raises:
        SourceError: There is no such file, or it is none of these.
    """
    import pyarrow as pa

    address = _address(path)
    try:
        with _open(address) as stream:
            kind = _format(stream, address)
            batches = _READERS[kind](stream)
            table, whole = _first(batches, rows)
    except FileNotFoundError:
        raise SourceError("there is no such file", where=address, hint="correct --from") from None
    except (pa.ArrowException, zipfile.BadZipFile, OSError) as error:
        message = " ".join(str(error).split())[:300]
        raise SourceError(f"cannot be read: {message}", where=address, hint="correct the file, or --from") from error
    table, left_out = scalar_columns(table)
    shown = path if path.startswith(_PACKAGE) else address
    source = {"kind": "file", "path": shown, "format": kind}
    return Sample(Origin(shown, source), table, kind == "csv", whole, left_out)


def _address(path: str) -> str:
    from mlforge.ingest.files import file_uri
    from mlforge.spec.sources import FileSource

    if set(path) & set("{}"):
        raise SourceError(
            "braces in a path stand for a partition's key",
            where=path,
            hint="give one file to learn from; later set `source.path` in use_case.yaml",
        )
    return file_uri(FileSource(kind="file", path=path))


@contextmanager
def _open(address: str) -> Iterator[IO[bytes]]:
    from mlforge import storage

    system, path = storage.filesystem(address)
    with system.open(path, "rb") as file:
        head = file.read(4)
        file.seek(0)
        if head != _ZIP:
            yield file
            return
        with zipfile.ZipFile(file) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/")]
            if len(names) != 1:
                raise SourceError(
                    f"the archive holds {len(names)} files instead of one",
                    where=address,
                    evidence=names,
                    hint="give one of them",
                )
            with archive.open(names[0]) as inner:
                yield inner


def _format(stream: IO[bytes], address: str) -> Format:
    head = stream.read(_HEAD)
    stream.seek(0)
    if not head.strip():
        raise SourceError("the file is empty", where=address, hint="give a file with a header and rows")
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.lstrip().startswith(b"{"):
        return "jsonl"
    _require_csv(head, address)
    return "csv"


def _require_csv(head: bytes, address: str) -> None:
    known = "CSV, a zip of one CSV, Parquet and JSON lines can be read"
    if any(mark in head[:4096] for mark in _BINARY):
        raise SourceError("the file is no text", where=address, hint=known)
    line = head.splitlines()[0].decode("utf-8", "replace")
    if "," in line:
        return
    for delimiter, name in _DELIMITERS.items():
        if delimiter in line:
            raise SourceError(
                f"its columns are separated by {name}", where=address, hint=f"save it with commas; {known}"
            )
    raise SourceError(
        "the file has one column, or is no CSV", where=address, evidence=[line[:80]], hint=f"{known}, with a header"
    )


def _read_csv(stream: IO[bytes]) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa
    from pyarrow import csv

    header = csv.read_csv(io.BytesIO(stream.readline() + b"\n")).column_names
    stream.seek(0)
    options = csv.ConvertOptions(
        column_types=dict.fromkeys(header, pa.string()), null_values=_MISSING, strings_can_be_null=True
    )
    reading = csv.ReadOptions(block_size=_BLOCK)
    return iter(csv.open_csv(stream, read_options=reading, convert_options=options))


def _read_parquet(stream: IO[bytes]) -> Iterator[pa.RecordBatch]:
    import pyarrow.parquet as pq

    return cast("Iterator[pa.RecordBatch]", pq.ParquetFile(stream).iter_batches())


def _read_json(stream: IO[bytes]) -> Iterator[pa.RecordBatch]:
    from pyarrow import json

    return iter(json.open_json(stream, read_options=json.ReadOptions(block_size=_BLOCK)))


_READERS = {"csv": _read_csv, "parquet": _read_parquet, "jsonl": _read_json}


def _first(batches: Iterator[pa.RecordBatch], rows: int) -> tuple[pa.Table, bool]:
    """Return the first rows, and whether they are all."""
    import pyarrow as pa

    taken, count = [], 0
    for batch in batches:
        taken.append(batch)
        count += batch.num_rows
        if count > rows:
            break
    if not count:
        raise SourceError("there are no rows below the header", hint="give a file with rows")
    return pa.Table.from_batches(taken).slice(0, rows), count <= rows


def scalar_columns(table: pa.Table) -> tuple[pa.Table, dict[str, str]]:
    """Return the columns that a contract can have, and why the others are left out."""
    import pyarrow as pa

    odd = {
        name: f"its type is {kind}"
        for name, kind in zip(table.column_names, table.schema.types, strict=True)
        if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_time(kind) or pa.types.is_duration(kind)
    }
    return table.select([name for name in table.column_names if name not in odd]), odd
