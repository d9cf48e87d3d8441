"""Rows that a person lets out of quarantine: fixed by hand, or as they are.

A release is a statement about a row, not about one publication: it is kept in `ledger.quarantine_releases`, and every
later attempt that brings exactly that row again honours it. So a re-run from the source does not lose it. When the
source has changed the row, the source wins; the release then rests, with a warning, and `mlforge quarantine released`
says so.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, LiteralString

from psycopg.types.json import Jsonb

from mlforge import db, storage
from mlforge.errors import TerminalError
from mlforge.ingest.cells import arrow_scalar
from mlforge.ingest.landing import land_again
from mlforge.refs import RawPartition, code_version
from mlforge.spec import Contract, UseCase
from mlforge.spec.row_keys import row_keys

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)

_STANDING: LiteralString = """
    SELECT release_id, partition_key, row, rules, fixed, waived FROM ledger.quarantine_releases
    WHERE use_case = %s AND dataset = %s AND partition_key = ANY(%s) ORDER BY release_id
"""
_RECORD: LiteralString = """
    INSERT INTO ledger.quarantine_releases (use_case, dataset, partition_key, row, rules, fixed, waived, who, why)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
_NOTE: LiteralString = """
    INSERT INTO ledger.quarantine_release_uses (release_id, raw_hash, applied)
    SELECT %(id)s, %(raw_hash)s, %(applied)s
    WHERE %(applied)s IS DISTINCT FROM (
        SELECT applied FROM ledger.quarantine_release_uses WHERE release_id = %(id)s ORDER BY use_id DESC LIMIT 1)
"""
_LAST_RAW: LiteralString = """
    SELECT raw_uri, raw_hash FROM ledger.publications WHERE use_case = %s AND dataset = %s AND partition_key = %s
    ORDER BY version DESC LIMIT 1
"""


@dataclass(frozen=True)
class RowRelease:
    """One row let out of quarantine.

    Attributes:
        row: The contract's columns as they came.
        rules: What it broke.
        fixed: What takes its place; none when it is published as it is.
        waived: Rules that are waived for it.
        release_id: Its number in the ledger; none before it is there.
    """

    partition_key: str
    row: Mapping[str, Any]
    rules: Sequence[str]
    fixed: Mapping[str, Any] | None = None
    waived: Sequence[str] = ()
    release_id: int | None = None


def standing_releases(use_case: UseCase, dataset: str, partition_key: str) -> list[RowRelease]:
    """Return the releases in the ledger for a ref's partitions, oldest first."""
    keys = use_case.partition_keys(partition_key)
    with db.connect() as connection:
        found = connection.execute(_STANDING, [use_case.name, dataset, keys]).fetchall()
    return [RowRelease(key, row, rules, fixed, waived, number) for number, key, row, rules, fixed, waived in found]


def apply_releases(use_case: UseCase, raw: RawPartition) -> RawPartition:
    """Return landed rows with the rows that were fixed by hand in place of those that came.

    Without any, it is the same ref. Else it names a new immutable file. The numbers of rows are the same.
    """
    releases = [each for each in standing_releases(use_case, raw.dataset, raw.partition_key) if each.fixed is not None]
    return replace_rows(use_case, raw, releases) if releases else raw


def replace_rows(use_case: UseCase, raw: RawPartition, releases: Sequence[RowRelease]) -> RawPartition:
    """Return landed rows in which fixed ones have taken the place of what they fix, every copy of it."""
    import pyarrow.parquet as pq

    table = pq.read_table(io.BytesIO(storage.read_bytes(raw.uri, content_hash=raw.content_hash)))
    contract = use_case.contract(raw.dataset)
    changed = False
    for release in releases:
        table, found = _replace(table, contract, release)
        changed |= found
        _note(raw, release, found)
    return land_again(raw, table) if changed else raw


def _replace(table: pa.Table, contract: Contract, release: RowRelease) -> tuple[pa.Table, bool]:
    import pyarrow as pa
    import pyarrow.compute as pc

    mask = pa.chunked_array([pa.repeat(pa.scalar(value=True), len(table))])
    for column in contract.columns:
        mask = pc.and_(mask, _equals(table[column.name], arrow_scalar(release.row.get(column.name), column)))
    if not pc.any(mask).as_py():
        return table, False
    for column in contract.columns:
        value = arrow_scalar((release.fixed or {}).get(column.name), column)
        place = table.column_names.index(column.name)
        table = table.set_column(place, column.name, pc.if_else(mask, value, table[column.name]))
    return table, True


def _equals(values: pa.ChunkedArray, value: pa.Scalar) -> pa.ChunkedArray:
    import pyarrow.compute as pc

    if not value.is_valid:
        return pc.is_null(values)
    if value.as_py() != value.as_py():
        return pc.fill_null(pc.is_nan(values), fill_value=False)
    return pc.fill_null(pc.equal(values, value), fill_value=False)


def _note(raw: RawPartition, release: RowRelease, applied: bool) -> None:
    if not applied and release.release_id is not None:
        log.warning(
            "%s.%s %s: the source has changed a row that was released from quarantine: release %s rests",
            *(raw.use_case, raw.dataset, release.partition_key, release.release_id),
        )
    if release.release_id is not None:
        with db.connect() as connection:
            bound = {"id": release.release_id, "raw_hash": raw.content_hash, "applied": applied}
            connection.execute(_NOTE, bound)


def published_raw(use_case: UseCase, dataset: str, partition_key: str) -> RawPartition:
    """Return the raw rows of one partition, as the newest publication of it had them.

    Raises:
        TerminalError: It was never published, or its raw file is gone.
    """
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    where = f"{use_case.name}.{dataset} {partition_key}"
    with db.connect() as connection:
        found = connection.execute(_LAST_RAW, [use_case.name, dataset, partition_key]).fetchone()
    if found is None:
        raise TerminalError("the partition was never published", where=where, hint="publish it first")
    uri, digest = found
    table = pq.read_table(io.BytesIO(storage.read_bytes(uri, content_hash=digest)))
    rows = table.filter(pc.equal(row_keys(use_case, dataset, table).dictionary_decode(), partition_key))
    raw = RawPartition(
        use_case=use_case.name,
        dataset=dataset,
        partition_key=partition_key,
        uri=uri,
        rows=len(table),
        content_hash=digest,
        code_version=code_version(use_case.folder),
        source_uri=uri,
    )
    return raw if len(rows) == len(table) else land_again(raw, rows)


def record_releases(use_case: UseCase, dataset: str, releases: Iterable[RowRelease], *, who: str, why: str) -> None:
    """Write releases down, for good: from now on every attempt honours them."""
    with db.connect() as connection, connection.cursor() as cursor:
        cursor.executemany(
            _RECORD,
            [
                (
                    *(use_case.name, dataset, each.partition_key, Jsonb(each.row), list(each.rules)),
                    *(None if each.fixed is None else Jsonb(each.fixed), list(each.waived), who, why),
                )
                for each in releases
            ],
        )
