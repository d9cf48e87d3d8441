"""Source → RawPartition."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from mlforge.errors import EmptyPartitionError, PartitionNotReadyError
from mlforge.ingest.casting import cast_table
from mlforge.ingest.landing import land_table
from mlforge.ingest.replay import replay_rows
from mlforge.ingest.source import DAY, read_source, source_uri
from mlforge.refs import PartitionRange, RawPartition, code_version
from mlforge.spec import UseCase

if TYPE_CHECKING:
    import pyarrow as pa


def extract_partition(use_case: UseCase, dataset: str, days: PartitionRange) -> RawPartition:
    """Land a source's rows of some days as an immutable Parquet file, named by the hash of its content.

    Args:
        use_case: The use case.
        dataset: Name of one of its datasets; a static one comes whole, whatever the days.
        days: UTC days of the source's partition column.

    Raises:
        EmptyPartitionError: The source has no rows for one of the days.
        PartitionNotReadyError: It has none, and `source.wait` says that they may be late.
        SourceError: The source cannot be read as declared, lacks a column, or has a value of a wrong type.
        RetryableError: The source or the storage does not answer.
    """
    declared = use_case.dataset(dataset)
    key = use_case.dataset_key(dataset, days)
    uri = source_uri(declared.source)
    where = f"{use_case.name}.{dataset} {key}, source {uri}"
    table = _rows(use_case, dataset, days, where)
    stored, digest = land_table(use_case.name, dataset, key, table)
    return RawPartition(
        use_case=use_case.name,
        dataset=dataset,
        partition_key=key,
        uri=stored,
        rows=len(table),
        content_hash=digest,
        code_version=code_version(use_case.folder),
        source_uri=uri,
    )


def _rows(use_case: UseCase, dataset: str, days: PartitionRange, where: str) -> pa.Table:
    """Return the rows of some days in the contract's types."""
    import pyarrow as pa

    if not use_case.dataset(dataset).partitioned:
        return _read(use_case, dataset, None, where)
    recorded, replayed = use_case.recorded_and_replayed(days)
    tables = [_read(use_case, dataset, part, where) for part in [recorded] if part is not None]
    if replayed is not None:
        tables.append(_replayed(use_case, dataset, replayed, where))
    table = pa.concat_tables(tables)
    _require_every_day(table, use_case, dataset, days, where)
    return table.drop_columns([DAY])


def _read(use_case: UseCase, dataset: str, days: PartitionRange | None, where: str) -> pa.Table:
    declared, contract = use_case.dataset(dataset), use_case.contract(dataset)
    kinds = {column.name: column.arrow_type for column in contract.columns}
    table = read_source(declared.source, days, folder=use_case.folder, kinds=kinds)
    if not len(table):
        raise _empty(use_case, dataset, days, days.keys if days else [], where)
    table = cast_table(table, contract, where, timezone=declared.source.timezone)
    if declared.source.kind == "sql" and contract.key:
        # A database gives rows in any order; the same rows are to be the same file.
        table = table.sort_by([(name, "ascending") for name in [*([DAY] if days else []), *contract.key]])
    return table


def _replayed(use_case: UseCase, dataset: str, days: PartitionRange, where: str) -> pa.Table:
    source = use_case.dataset(dataset).source
    if source.replay is None or source.partition_column is None:
        raise _empty(use_case, dataset, days, days.keys, where)
    schedule = use_case.schedule

    def read(first: dt.date, last: dt.date) -> pa.Table:
        first, last = (schedule.first_day_of(day) for day in (first, last))
        return _read(use_case, dataset, PartitionRange(first, last, schedule.step_days), where)

    return replay_rows(read, source.replay, source.partition_column, days)


def _require_every_day(table: pa.Table, use_case: UseCase, dataset: str, days: PartitionRange, where: str) -> None:
    import pyarrow.compute as pc

    present = {days.key_of(day) for day in pc.unique(table[DAY]).to_pylist()}
    missing = [key for key in days.keys if key not in present]
    if missing:
        raise _empty(use_case, dataset, days, missing, where)


def _empty(
    use_case: UseCase, dataset: str, days: PartitionRange | None, missing: list[str], where: str
) -> EmptyPartitionError | PartitionNotReadyError:
    of_them = "" if days is None else f" for {len(missing)} of {len(days)} partitions"
    if use_case.dataset(dataset).source.wait is not None:
        return PartitionNotReadyError(
            f"the source has no rows yet{of_them}", where=where, evidence=missing, hint="try again when they have come"
        )
    return EmptyPartitionError(
        f"the source has no rows{of_them}",
        where=where,
        evidence=missing,
        hint="choose days that it has, or correct `source` or `schedule` in use_case.yaml",
    )
