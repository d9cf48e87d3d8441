"""Rows on their way to an online store: serialised once, column by column, and counted where they arrive."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from feast import FeatureView
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value

from mlforge.features.stores.encoding import EPOCH, KEY_TYPES, VALUE_TYPES, key_encoder, value_encoder
from mlforge.features.stores.versions import repair_copies

repair_copies()

# As Feast hands rows to a store, and as it wants them back: key, values, event time, since when they are known.
Row = tuple[EntityKey, dict[str, Value], datetime, datetime | None]
FoundRow = tuple[datetime | None, dict[str, Value] | None]

_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class EncodedRows:
    """Values of one view, one row per entity.

    Attributes:
        keys: Serialised key of each entity.
        features: Names of the features.
        values: Per feature, the serialised value of each entity.
        texts: Per feature, what a search for words would find; None for features that are no text.
        event_times: Microseconds since 1970, UTC.
        created_times: The same, None where it is not known.
    """

    keys: list[bytes]
    features: list[str]
    values: list[list[bytes]]
    texts: list[list[str | None] | None]
    event_times: list[int]
    created_times: list[int | None]


def encode_table(view: FeatureView, table: Any) -> EncodedRows | None:
    """Return the rows of an Arrow table with one row per entity; None where the view has more than scalars.

    Feast's own conversion takes seconds per 100,000 values, and of a table in several chunks the first one only.
    """
    entities = {column.name: _number(column) for column in view.entity_columns}
    kinds = [_number(feature) for feature in view.features]
    source = view.batch_source
    plain = source is not None and not source.field_mapping and set(entities) == set(view.join_keys)
    if not plain or not set(entities.values()) <= KEY_TYPES or not set(kinds) <= VALUE_TYPES:
        return None
    names = sorted(entities)
    encode_key = key_encoder(names, [entities[name] for name in names])
    columns = [table.column(name).to_pylist() for name in names]
    values = [table.column(feature.name).to_pylist() for feature in view.features]
    created = source.created_timestamp_column
    return EncodedRows(
        keys=[encode_key(row) for row in zip(*columns, strict=True)],
        features=[feature.name for feature in view.features],
        values=[value_encoder(kind)(column) for kind, column in zip(kinds, values, strict=True)],
        texts=[
            column if feature.dtype.to_value_type().name == "STRING" else None
            for feature, column in zip(view.features, values, strict=True)
        ],
        event_times=[int(moment) for moment in _instants(table.column(source.timestamp_field))],
        created_times=_instants(table.column(created)) if created else [None] * table.num_rows,
    )


def _number(column: Any) -> int:
    return int(column.dtype.to_value_type().value)


def _instants(column: Any) -> list[Any]:
    import pyarrow as pa

    instants: list[Any] = column.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()).to_pylist()
    return instants


def microseconds(moment: datetime) -> int:
    """Return an instant as microseconds since 1970; one without a zone is UTC."""
    return (aware(moment) - EPOCH) // _MICROSECOND


def aware(moment: datetime) -> datetime:
    """Return an instant with its zone; one without is UTC."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


@dataclass(frozen=True)
class OnlineAges:
    """How old a view's rows are in an online store.

    Attributes:
        entities: How many there are.
        rows: How many values are stored for them.
        newest: Event time of the newest one, UTC; None where there is none.
        stale: How many entities are older than what was asked for.
    """

    entities: int = 0
    rows: int = 0
    newest: datetime | None = None
    stale: int = 0


@dataclass
class WriteCount:
    """What writes came to: entities written, and entities kept because the store holds newer values."""

    written: int = 0
    kept: int = 0


_COUNT: contextvars.ContextVar[WriteCount | None] = contextvars.ContextVar("online_write_count", default=None)


@contextlib.contextmanager
def count_writes() -> Iterator[WriteCount]:
    """Count what is written to the online store within the block."""
    count = WriteCount()
    token = _COUNT.set(count)
    try:
        yield count
    finally:
        _COUNT.reset(token)


def note_writes(written: int, offered: int) -> None:
    """Add a write of some of the entities that were offered to the count of the block around it."""
    count = _COUNT.get()
    if count is not None:
        count.written += written
        count.kept += offered - written
