"""`datasets.<name>.source`: where rows come from."""

from __future__ import annotations

from typing import Literal

from mlforge.spec.base import SpecModel


class FileSource(SpecModel):
    """A file that holds every partition.

    Attributes:
        path: Local path, fsspec URL, or `package:NAME/path` for a file inside an installed package.
        partition_column: UTC time whose day is the row's partition; absent for a static dataset.
    """

    kind: Literal["file"]
    path: str
    format: Literal["csv", "parquet"] = "csv"
    partition_column: str | None = None
