"""Source → RawPartition."""

from __future__ import annotations

import io
from datetime import date
from typing import TYPE_CHECKING

from mlforge import storage
from mlforge.errors import EmptyPartitionError
from mlforge.ingest.casting import cast_table
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
        SourceError: The source cannot be read as declared, lacks a column, or has a value of a wrong type.
    """
    import pyarrow.parquet as pq

    declared = use_case.dataset(dataset)
    key = use_case.dataset_key(dataset, days)
    uri = source_uri(declared.source)
    where = f"{use_case.name}.{dataset} {key}, source {uri}"
    table = read_source(declared.source, days if declared.partitioned else None)
    if declared.partitioned:
        _require_every_day(table, days, where)
        table = table.drop_columns([DAY])
    elif not len(table):
        raise EmptyPartitionError("the source has no rows", where=where, hint="correct `source.path`")
    table = cast_table(table, use_case.contract(dataset), where)
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    stored, digest = storage.put_bytes(f"raw/{use_case.name}/{dataset}/{key}", buffer.getvalue(), ".parquet")
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


def _require_every_day(table: pa.Table, days: PartitionRange, where: str) -> None:
    import pyarrow.compute as pc

    present = {days.key_of(date.fromisoformat(day)) for day in pc.unique(table[DAY]).to_pylist()}
    missing = [key for key in days.keys if key not in present]
    if missing:
        raise EmptyPartitionError(
            f"the source has no rows for {len(missing)} of {len(days)} partitions",
            where=where,
            evidence=missing,
            hint="choose days that it has, or correct `schedule` in use_case.yaml",
        )
