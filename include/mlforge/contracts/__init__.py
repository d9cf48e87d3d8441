"""The second stage: RawPartition → CheckedPartition, rows checked against their contract and split."""

from mlforge.contracts.check import check_partition, preview_rows

__all__ = ["check_partition", "preview_rows"]
