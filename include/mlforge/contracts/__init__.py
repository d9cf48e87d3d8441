"""The second stage: RawPartition → CheckedPartition, rows checked against their contract and split."""

from mlforge.contracts.check import check_partition

__all__ = ["check_partition"]
