"""The first and the third stage: Source → RawPartition, and CheckedPartition → PublishedPartition."""

from mlforge.ingest.extract import extract_partition
from mlforge.ingest.publish import publish_partition

__all__ = ["extract_partition", "publish_partition"]
