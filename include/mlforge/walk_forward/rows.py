"""Rows as of any week, exactly as `features.assemble` gives them, each joined with its features once.

What a row's features are does not depend on when one asks: they are joined as of the row's own moment. Which rows there
are does, and what is known of their outcome. So the spine is read anew for each training set, as of its instant, and
takes the features from files, one per week; a row that they lack is joined now.
"""

from __future__ import annotations

import hashlib
import io
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlforge import db, storage
from mlforge.errors import FeatureError
from mlforge.features import steps
from mlforge.fingerprints import fingerprints
from mlforge.refs import STATIC_KEY, hash_files
from mlforge.spec import UseCase
from mlforge.walk_forward.weeks import Week, schedule_start, weeks_between

if TYPE_CHECKING:
    import pyarrow as pa

_PLACE = "place in the kept rows"
_BUILT = """
SELECT partition_key, max(feature_publication_id) FROM ledger.feature_publications
WHERE use_case = %(use_case)s GROUP BY partition_key
"""
_FIND = """
SELECT DISTINCT ON (week) week, inputs, rows, uri, content_hash FROM ledger.walk_rows
WHERE use_case = %(use_case)s AND week = ANY(%(weeks)s) ORDER BY week, walk_rows_id DESC
"""
_RECORD = """
INSERT INTO ledger.walk_rows (use_case, week, inputs, rows, uri, content_hash)
VALUES (%(use_case)s, %(week)s, %(inputs)s, %(rows)s, %(uri)s, %(content_hash)s)
"""


@dataclass(frozen=True)
class KeptRows:
    """A week's rows with their features, in a file.

    Attributes:
        inputs: Hash of the features that they were joined from.
    """

    week: Week
    inputs: str
    rows: int
    uri: str
    content_hash: str


class WalkRows:
    """Rows of a use case with their features, week by week; files that were read stay in memory.

    Args:
        use_case: Whose rows.
        anchor: Weeks are in step with this one.
    """

    def __init__(self, use_case: UseCase, anchor: Week) -> None:
        self._use_case = use_case
        self._anchor = anchor
        self._tables: dict[str, pa.Table] = {}
        self._code = _code(use_case)

    def keep(self, weeks: Sequence[Week]) -> list[KeptRows]:
        """Return the files of some weeks, oldest first; what is not there or out of date is joined and written."""
        inputs = _inputs(self._use_case, self._code, weeks)
        found = _find(self._use_case, weeks)
        missing = [week for week in weeks if week not in found or found[week].inputs != inputs[week]]
        for run in _runs(missing):
            for kept in self._join(run, inputs):
                found[kept.week] = kept
        return [found[week] for week in weeks]

    def assemble(self, start: datetime, end: datetime, as_of: datetime) -> pa.Table:
        """Return the rows between two instants as known at a third one, as `features.assemble` gives them.

        Args:
            start: First instant.
            end: First instant after.
            as_of: What became known later is not in it.

        Raises:
            FeatureError: There are none.
        """
        import pyarrow as pa

        spine = steps.read_spine(self._use_case, start, end, as_of)
        if spine.num_rows == 0:
            raise FeatureError(
                "there are no examples",
                where=f"{self._use_case.name}, {start:%Y-%m-%d} to {end:%Y-%m-%d}, as of {as_of:%Y-%m-%dT%H:%MZ}",
                hint="publish the partitions first, or look at the spine's SQL",
            )
        files = self.keep(list(weeks_between(max(start, schedule_start(self._use_case)), end, self._anchor)))
        tables = [self._read(each) for each in files if each.rows]
        kept = pa.concat_tables(tables) if tables else self._joined(spine)
        return steps.arrange_columns(self._use_case, self._with_features(spine, kept, as_of))

    def _join(self, weeks: Sequence[Week], inputs: dict[Week, str]) -> Iterable[KeptRows]:
        """Join weeks that follow each other at once, whatever is known of them by now, and write a file for each."""
        import pyarrow as pa
        import pyarrow.compute as pc

        spine = steps.read_spine(self._use_case, weeks[0].as_of, weeks[-1].end, datetime.now(UTC))
        joined = self._joined(spine)
        moments = joined.column("event_timestamp")
        for week in weeks:
            begin, end = (pa.scalar(moment, moments.type) for moment in (week.as_of, week.end))
            table = joined.filter(pc.and_(pc.greater_equal(moments, begin), pc.less(moments, end))).combine_chunks()
            yield self._write(week, inputs[week], table)

    def _joined(self, spine: pa.Table) -> pa.Table:
        """Return the spine as it was read, with its derived fields and features behind it."""
        table = steps.derive_fields(self._use_case, spine)
        if table.num_rows == 0:
            return table
        features = steps.join_features(self._use_case, table)
        for name in features.column_names:
            if name not in table.column_names:
                table = table.append_column(name, features.column(name))
        return table.replace_schema_metadata(None)

    def _write(self, week: Week, inputs: str, table: pa.Table) -> KeptRows:
        import pyarrow.parquet as pq

        buffer = io.BytesIO()
        pq.write_table(table, buffer, compression="zstd")
        uri, content = storage.put_bytes(f"walk_forward/{self._use_case.name}/rows", buffer.getvalue(), ".parquet")
        kept = KeptRows(week, inputs, table.num_rows, uri, content)
        with db.connect() as connection:
            connection.execute(
                _RECORD,
                {
                    "use_case": self._use_case.name,
                    "week": week.first,
                    **{name: getattr(kept, name) for name in ("inputs", "rows", "uri", "content_hash")},
                },
            )
        self._tables[content] = table
        return kept

    def _read(self, kept: KeptRows) -> pa.Table:
        import pyarrow as pa
        import pyarrow.parquet as pq

        if kept.content_hash not in self._tables:
            content = storage.read_bytes(kept.uri, content_hash=kept.content_hash)
            self._tables[kept.content_hash] = pq.read_table(pa.BufferReader(content))
        return self._tables[kept.content_hash]

    def _with_features(self, spine: pa.Table, kept: pa.Table, as_of: datetime) -> pa.Table:
        """Return the spine, as a join would give it, with what the kept rows have for each of its rows."""
        import pyarrow as pa

        outcome = {*self._use_case.training.outcome, "known_at"}
        asked = [name for name in spine.column_names if name not in outcome]
        places = _same_rows(spine, kept, asked, as_of)
        if places is None:
            places, lacking = _find_rows(spine, kept, asked)
            if lacking.num_rows:
                kept = pa.concat_tables([kept, self._joined(lacking).select(kept.column_names)])
        taken = kept.take(places)
        for name in kept.column_names:
            if name not in spine.column_names:
                spine = spine.append_column(name, taken.column(name))
        return _as_joined(spine)


def _same_rows(spine: pa.Table, kept: pa.Table, asked: Sequence[str], as_of: datetime) -> pa.Array | None:
    """Return the kept rows that the spine has, if they are those known at an instant, in the same order."""
    import pyarrow as pa
    import pyarrow.compute as pc

    known, moments = kept.column("known_at"), kept.column("event_timestamp")
    first, last = (end.cast(moments.type) for end in pc.min_max(spine.column("event_timestamp")).values())
    within = pc.and_(pc.greater_equal(moments, first), pc.less_equal(moments, last))
    mask = pc.and_(within, pc.less_equal(known, pa.scalar(as_of, known.type)))
    places = pc.indices_nonzero(mask)
    if len(places) != spine.num_rows:
        return None
    same = kept.select(asked).take(places).equals(spine.select(asked).replace_schema_metadata(None))
    return places if same else None


def _find_rows(spine: pa.Table, kept: pa.Table, asked: Sequence[str]) -> tuple[pa.Array, pa.Table]:
    """Return the place of each row of the spine among the kept ones, and the rows that they lack, placed behind."""
    import numpy as np
    import pyarrow as pa

    names = list(asked)
    wanted, there = (_distinguishable(table.select(names)) for table in (spine, kept))
    # Rows that are asked in the same words have the same features.
    there = there.assign(**{_PLACE: np.arange(len(there))}).drop_duplicates(names)
    places = wanted.merge(there, on=names, how="left")[_PLACE].to_numpy(dtype=np.float64)
    lacking = np.isnan(places)
    places[lacking] = kept.num_rows + np.arange(int(lacking.sum()))
    return pa.array(places.astype(np.int64)), spine.filter(pa.array(lacking))


def _distinguishable(table: pa.Table) -> Any:
    """Return a frame in which whole numbers stay whole, nulls or not."""
    import pandas as pd
    import pyarrow as pa

    kinds = {pa.int64(): pd.Int64Dtype(), pa.int32(): pd.Int32Dtype(), pa.int16(): pd.Int16Dtype()}
    return table.to_pandas(types_mapper=kinds.get)


def _as_joined(table: pa.Table) -> pa.Table:
    """Return the columns in the types that they have behind a join, which passes them through pandas."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for number, field in enumerate(table.schema):
        column = table.column(number)
        if pa.types.is_integer(field.type) and column.null_count:
            column = column.cast(pa.float64())
        elif pa.types.is_floating(field.type) and "__" not in field.name:
            column = pc.if_else(pc.is_nan(column), None, column)
        elif pa.types.is_null(field.type):
            column = column.cast(pa.string())
        table = table.set_column(number, field.name, column)
    return table


def _code(use_case: UseCase) -> list[str]:
    """Return the hashes of what joins a row's features and derives its fields."""
    made = fingerprints(use_case)
    return [made["features"], made["model"], hash_files(list(Path(steps.__file__).parent.glob("*.py")))]


def _inputs(use_case: UseCase, code: Sequence[str], weeks: Sequence[Week]) -> dict[Week, str]:
    """Return the hash of what the features of each week's rows are made from.

    A row's features were known at its moment, so partitions from its week's end on are no matter.
    """
    with db.connect() as connection:
        built = connection.execute(_BUILT, {"use_case": use_case.name}).fetchall()
    hashes = {}
    for week in weeks:
        newest = max((number for key, number in built if key == STATIC_KEY or key < str(week.end.date())), default=0)
        hashes[week] = hashlib.sha256(repr([*code, newest]).encode()).hexdigest()[:16]
    return hashes


def _find(use_case: UseCase, weeks: Sequence[Week]) -> dict[Week, KeptRows]:
    values = {"use_case": use_case.name, "weeks": [week.first for week in weeks]}
    with db.connect() as connection:
        found = connection.execute(_FIND, values).fetchall()
    return {Week(first): KeptRows(Week(first), *rest) for first, *rest in found}


def _runs(weeks: Sequence[Week]) -> Iterable[list[Week]]:
    """Yield weeks that follow each other together."""
    for _, run in itertools.groupby(enumerate(weeks), key=lambda pair: (pair[1].first.toordinal() // 7) - pair[0]):
        yield [week for _, week in run]
