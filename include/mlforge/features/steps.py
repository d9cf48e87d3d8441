"""The steps of assembling, one by one, for those who do some of them once for many training sets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlforge.features.assemble import _arrange, _derive, _join, _parquet, _read_spine

if TYPE_CHECKING:
    from datetime import datetime

    import pyarrow as pa

    from mlforge.spec import UseCase


def read_spine(use_case: UseCase, start: datetime, end: datetime, as_of: datetime) -> pa.Table:
    """Return the spine's rows between two instants as known at a third one, sorted by moment and key."""
    return _read_spine(use_case, start, end, as_of)


def derive_fields(use_case: UseCase, spine: pa.Table) -> pa.Table:
    """Return the spine with the fields that `model.derive` computes, last."""
    return _derive(use_case, spine)


def join_features(use_case: UseCase, spine: pa.Table) -> pa.Table:
    """Return the spine, derived fields included, with the features known at each row's moment, in its order."""
    return _join(use_case, spine)


def arrange_columns(use_case: UseCase, table: pa.Table) -> pa.Table:
    """Return the columns of a training set in its order."""
    return _arrange(use_case, table)


def training_set_bytes(table: pa.Table) -> bytes:
    """Return arranged rows as the file of a training set: its hash is the training set's content hash."""
    return _parquet(table)
