"""The files of a version: one Parquet file per published partition, or a training set's file as it is.

The same rows give the same bytes, so that DVC keeps an unchanged partition once. A partition whose publication is that
of the version before is not even read: its file is taken over, which also keeps it when another release of the Parquet
writer would write it differently.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, LiteralString

import psycopg
from psycopg import ClientCursor, sql

from mlforge import storage
from mlforge.errors import DataVersionError
from mlforge.refs import PartitionRange, TrainingSet, code_version
from mlforge.settings import get_settings
from mlforge.spec import UseCase
from mlforge.versions.metadata import Kind, TrainingSetOrigin, Version, VersionColumn, VersionFile
from mlforge.versions.names import TRAINING_SET

if TYPE_CHECKING:
    import pyarrow as pa

_TIMES = ("partition_key", "event_timestamp", "known_at")
_SUFFIX = ".parquet"

_PUBLICATIONS: LiteralString = """
    SELECT DISTINCT ON (partition_key) partition_key, publication_id, version, content_hash, contract_version
    FROM ledger.publications
    WHERE use_case = %(use_case)s AND dataset = %(dataset)s
        AND (%(first)s::text IS NULL OR partition_key BETWEEN %(first)s AND %(last)s)
    ORDER BY partition_key, version DESC
"""
_ROWS: LiteralString = "SELECT {columns} FROM {table} WHERE partition_key = %(key)s ORDER BY {order}"
_PRESENT: LiteralString = """
    SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped
"""


@dataclass(frozen=True)
class Snapshot:
    """What a version is to hold; its files lie in the work tree.

    Attributes:
        reused: How many files were taken over from the version before.
    """

    kind: Kind
    key: tuple[str, ...]
    columns: tuple[VersionColumn, ...]
    files: tuple[VersionFile, ...]
    code_version: str
    contract_version: str | None = None
    training_set: TrainingSetOrigin | None = None
    reused: int = 0


@dataclass(frozen=True)
class _Publication:
    key: str
    publication_id: int
    version: int
    content_hash: str
    contract_version: str


def export_dataset(
    connection: psycopg.Connection[Any],
    use_case: UseCase,
    dataset: str,
    days: PartitionRange | None,
    folder: Path,
    before: Version | None,
) -> Snapshot:
    """Write the published partitions of a dataset, all of one instant, and return what they are.

    Args:
        connection: Only to quote values.
        use_case: Whose dataset.
        dataset: Which one.
        days: Only partitions within; all without.
        folder: Where the files go; what else lies there is removed.
        before: Newest version of the series, whose files may lie there.

    Raises:
        DataVersionError: Nothing is published, or the table lacks a column of the contract.
    """
    from adbc_driver_postgresql import dbapi

    declared = use_case.dataset(dataset)
    if days is not None and not declared.partitioned:
        raise DataVersionError("it comes whole, not in days", where=f"{use_case.name}.{dataset}", hint="leave days out")
    columns = _columns(use_case, dataset)
    _require_columns(connection, use_case, dataset, list(columns))
    described = tuple(VersionColumn(name=name, type=str(kind)) for name, kind in columns.items())
    old = _reusable(before, described, folder)
    folder.mkdir(parents=True, exist_ok=True)
    files: list[VersionFile] = []
    reused = 0
    quote = ClientCursor(connection).mogrify
    with dbapi.connect(get_settings().postgres_url()) as reader, reader.cursor() as cursor:
        # One snapshot for all partitions: a publication meanwhile is in the version whole or not at all.
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        cursor.execute("SET LOCAL TIME ZONE 'UTC'")
        bounds = (
            {"first": days.first.isoformat(), "last": days.last.isoformat()} if days else {"first": None, "last": None}
        )
        cursor.execute(quote(_PUBLICATIONS, {"use_case": use_case.name, "dataset": dataset, **bounds}))
        publications = [_Publication(*row) for row in cursor.fetchall()]
        rows = _rows_query(use_case, dataset, list(columns))
        for publication in publications:
            known = old.get((publication.key, publication.content_hash))
            if known is None:
                cursor.execute(quote(rows, {"key": publication.key}))
                known = _write_partition(cursor.fetch_arrow_table(), columns, publication.key, folder)
            else:
                reused += 1
            files.append(_published_as(known, publication))
    if not files:
        raise DataVersionError(
            "nothing is published" + (f" in {days.key}" if days else ""),
            where=f"{use_case.name}.{dataset}",
            hint="run the data chain first",
        )
    _remove_others(folder, files)
    return Snapshot(
        kind="dataset",
        key=tuple(use_case.contract(dataset).key),
        columns=described,
        files=tuple(files),
        code_version=code_version(use_case.folder),
        contract_version=max(publications, key=lambda each: each.publication_id).contract_version,
        reused=reused,
    )


def export_training_set(use_case: UseCase, training_set: TrainingSet, folder: Path) -> Snapshot:
    """Copy a training set's file as it is, and return what it is.

    Raises:
        TerminalError: The file is gone, or is not what was stored.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    content = storage.read_bytes(training_set.uri, content_hash=training_set.content_hash)
    schema = pq.read_schema(pa.BufferReader(content))
    folder.mkdir(parents=True, exist_ok=True)
    file = _write_file(folder, TRAINING_SET, content, training_set.rows)
    _remove_others(folder, [file])
    return Snapshot(
        kind="training_set",
        key=tuple(name for name in use_case.prediction.key if name in schema.names),
        columns=tuple(VersionColumn(name=field.name, type=str(field.type)) for field in schema),
        files=(file,),
        code_version=training_set.code_version,
        training_set=TrainingSetOrigin(
            partition_key=training_set.partition_key,
            as_of=training_set.as_of,
            uri=training_set.uri,
            feature_service=training_set.feature_service,
            publications=training_set.publications,
        ),
    )


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _columns(use_case: UseCase, dataset: str) -> dict[str, pa.DataType]:
    """Return the columns of the files with their exact types."""
    import pyarrow as pa

    instant = pa.timestamp("us", tz="UTC")
    times = dict(zip(_TIMES, (pa.string(), instant, instant), strict=True))
    return {**{column.name: column.arrow_type for column in use_case.contract(dataset).columns}, **times}


def _require_columns(connection: psycopg.Connection[Any], use_case: UseCase, dataset: str, columns: list[str]) -> None:
    table = use_case.table(dataset)
    present = {name for (name,) in connection.execute(_PRESENT, [f'warehouse."{table}"']).fetchall()}
    missing = [name for name in columns if name not in present]
    if missing:
        raise DataVersionError(
            f"the table warehouse.{table} lacks columns" if present else f"there is no table warehouse.{table}",
            where=f"{use_case.name}.{dataset}",
            evidence=missing if present else (),
            hint="publish the dataset again",
        )


def _rows_query(use_case: UseCase, dataset: str, columns: list[str]) -> sql.Composed:
    """Return the query of a partition's rows, in an order that depends on the rows alone."""
    contract = use_case.contract(dataset)
    text = {column.name for column in contract.columns if column.sql_type == "text"}
    order = [
        sql.SQL("{} COLLATE {}").format(sql.Identifier(name), sql.Identifier("C"))
        if name in text
        else sql.Identifier(name)
        for name in contract.key or [column.name for column in contract.columns]
    ]
    return sql.SQL(_ROWS).format(
        columns=sql.SQL(", ").join(map(sql.Identifier, columns)),
        table=sql.Identifier("warehouse", use_case.table(dataset)),
        order=sql.SQL(", ").join(order),
    )


def _reusable(
    before: Version | None, columns: tuple[VersionColumn, ...], folder: Path
) -> dict[tuple[str, str], VersionFile]:
    """Return the files of the version before that still lie there unchanged, by partition and publication's hash."""
    if before is None or before.kind != "dataset" or before.columns != columns:
        return {}
    return {
        (file.partition, file.publication_hash): file
        for file in before.files
        if file.publication_hash and (folder / file.name).is_file() and hash_file(folder / file.name) == file.sha256
    }


def _write_partition(rows: pa.Table, columns: dict[str, pa.DataType], key: str, folder: Path) -> VersionFile:
    import pyarrow as pa
    import pyarrow.parquet as pq

    # The driver's notes on the schema are no content; chunks would become pages of their own.
    table = rows.cast(pa.schema(list(columns.items()))).combine_chunks()
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", row_group_size=128 * 1024)
    return _write_file(folder, key, buffer.getvalue(), table.num_rows)


def _write_file(folder: Path, partition: str, content: bytes, rows: int) -> VersionFile:
    """Write a file whole or not at all; one that was linked to DVC's cache is replaced, never written into."""
    name = f"{partition}{_SUFFIX}"
    temporary = folder / f".{name}.new"
    temporary.write_bytes(content)
    temporary.replace(folder / name)
    return VersionFile(
        partition=partition,
        name=name,
        rows=rows,
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        md5=hashlib.md5(content, usedforsecurity=False).hexdigest(),
    )


def _published_as(file: VersionFile, publication: _Publication) -> VersionFile:
    return file.model_copy(
        update={
            "publication_id": publication.publication_id,
            "publication_version": publication.version,
            "publication_hash": publication.content_hash,
        }
    )


def _remove_others(folder: Path, files: list[VersionFile]) -> None:
    kept = {file.name for file in files}
    for path in folder.iterdir():
        if path.name not in kept:
            path.unlink()
