"""The partition of each row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlforge.refs import STATIC_KEY

if TYPE_CHECKING:
    import pyarrow as pa

    from mlforge.spec.use_case import UseCase

NO_KEY = "none"  # of a row without a time; landing refuses it, so only a file that is merely looked at has one


def row_keys(use_case: UseCase, dataset: str, rows: pa.Table) -> pa.DictionaryArray:
    """Return the partition key of each row: the first UTC day of its partition.

    Args:
        use_case: The use case.
        dataset: One of its datasets.
        rows: With the contract's columns, in its types.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    column = use_case.dataset(dataset).source.partition_column
    if column is None:
        return pa.DictionaryArray.from_arrays(pa.array([0] * len(rows), pa.int32()), [STATIC_KEY])
    days = rows[column]
    if not pa.types.is_date(days.type):
        moments = pc.cast(days, pa.timestamp("us", tz="UTC"))
        days = pc.cast(pc.floor_temporal(moments, unit="day"), pa.date32())
    encoded = days.combine_chunks().dictionary_encode()
    keys = [str(use_case.schedule.first_day_of(day)) for day in encoded.dictionary.to_pylist()]
    places = {key: place for place, key in enumerate(dict.fromkeys([*keys, NO_KEY]))}
    place_of_day = pa.array([places[key] for key in keys], pa.int32())
    indices = pc.fill_null(place_of_day.take(encoded.indices), places[NO_KEY])
    return pa.DictionaryArray.from_arrays(indices, list(places))
