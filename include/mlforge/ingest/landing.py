"""Raw rows as immutable Parquet files, named by the hash of their content."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from mlforge import storage
from mlforge.refs import RawPartition

if TYPE_CHECKING:
    import pyarrow as pa


def land_table(use_case: str, dataset: str, partition_key: str, table: pa.Table) -> tuple[str, str]:
    """Store rows of a dataset and return where, and the hash of the file."""
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    # In one piece: how the rows came must not change the file.
    pq.write_table(table.combine_chunks(), buffer, compression="zstd")
    return storage.put_bytes(f"raw/{use_case}/{dataset}/{partition_key}", buffer.getvalue(), ".parquet")


def land_again(raw: RawPartition, table: pa.Table) -> RawPartition:
    """Return landed rows with others in their place, in a file of their own."""
    uri, digest = land_table(raw.use_case, raw.dataset, raw.partition_key, table)
    return raw.model_copy(update={"uri": uri, "content_hash": digest, "rows": len(table)})
