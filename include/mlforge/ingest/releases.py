"""Rows that a person lets out of quarantine: fixed by hand, or as they are.

A release is a statement about a row, not about one publication: it is kept in `ledger.quarantine_releases`, and every
later attempt that brings exactly that row again honours it. So a re-run from the source does not lose it. When the
source has changed the row, the source wins; the release then rests, with a warning, and `mlforge quarantine released`
says so.
"""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from mlforge import db, storage
from mlforge.db.content import EMPTY_HASH, combine_hashes, partition_hashes
from mlforge.errors import TerminalError
from mlforge.ingest.cells import arrow_scalar
from mlforge.ingest.warehouse import published_columns
from mlforge.refs import CheckedPartition, RawPartition, code_version
from mlforge.spec import Contract, UseCase

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
# The row is read as the staging table's types and written again, so that equal values are written alike.
_SAME: LiteralString = """
    to_jsonb(staged) - {own} = to_jsonb(jsonb_populate_record(NULL::{staged}, %(row)s)) - {own}
"""
_WAIVE: LiteralString = """
    UPDATE {staged} AS staged SET _rules = nullif(
        ARRAY(SELECT rule FROM unnest(_rules) AS rule WHERE rule <> ALL(%(waived)s) ORDER BY rule), '{{}}')
    WHERE _rules IS NOT NULL AND partition_key = %(key)s AND {same}
"""
_STILL_BROKEN: LiteralString = """
    SELECT _rules FROM {staged} AS staged WHERE _rules IS NOT NULL AND partition_key = %(key)s AND {same}
"""
_COUNTS: LiteralString = """
    SELECT count(*) FILTER (WHERE _rules IS NULL), count(_rules) FROM {staged}
"""
_TWICE: LiteralString = """
    SELECT to_jsonb(twice) FROM (
        SELECT {key} FROM {staged} WHERE _rules IS NULL GROUP BY {key}, partition_key HAVING count(*) > 1 LIMIT 6
    ) AS twice
"""
_WITHOUT: LiteralString = """
    SELECT count(*) FROM {staged} WHERE _rules IS NULL AND {column} IS NULL
"""
_LAST_RAW: LiteralString = """
    SELECT raw_uri, raw_hash FROM ledger.publications WHERE use_case = %s AND dataset = %s AND partition_key = %s
    ORDER BY version DESC LIMIT 1
"""
_OWN = "{_row_id,_copies,_rules,partition_key,event_timestamp,known_at}"


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
    return _land(raw, table) if changed else raw


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


def _land(raw: RawPartition, table: pa.Table) -> RawPartition:
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(table.combine_chunks(), buffer, compression="zstd")
    folder = f"raw/{raw.use_case}/{raw.dataset}/{raw.partition_key}"
    uri, digest = storage.put_bytes(folder, buffer.getvalue(), ".parquet")
    return raw.model_copy(update={"uri": uri, "content_hash": digest, "rows": len(table)})


def published_raw(use_case: UseCase, dataset: str, partition_key: str) -> RawPartition:
    """Return the raw rows of one partition, as the newest publication of it had them.

    Raises:
        TerminalError: It was never published, or its raw file is gone.
    """
    import pyarrow.parquet as pq

    where = f"{use_case.name}.{dataset} {partition_key}"
    with db.connect() as connection:
        found = connection.execute(_LAST_RAW, [use_case.name, dataset, partition_key]).fetchone()
    if found is None:
        raise TerminalError("the partition was never published", where=where, hint="publish it first")
    uri, digest = found
    table = pq.read_table(io.BytesIO(storage.read_bytes(uri, content_hash=digest)))
    rows = _of_partition(use_case, dataset, partition_key, table)
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
    return raw if len(rows) == len(table) else _land(raw, rows)


def _of_partition(use_case: UseCase, dataset: str, partition_key: str, table: pa.Table) -> pa.Table:
    """Return one partition's rows of a file that may hold a range."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column = use_case.dataset(dataset).source.partition_column
    if column is None:
        return table
    days = use_case.partitions(partition_key)
    times = table[column]
    if not pa.types.is_timestamp(times.type) or times.type.tz is None:
        times = pc.assume_timezone(times.cast(pa.timestamp("us")), "UTC")
    kind = times.type
    within = pc.and_(
        pc.greater_equal(times, pa.scalar(days.start, kind)),
        pc.less(times, pa.scalar(days.end, kind)),
    )
    return table.filter(within)


def waive_released(
    use_case: UseCase, checked: CheckedPartition, pending: Iterable[RowRelease] = ()
) -> CheckedPartition:
    """Return the checked partition with the waived rules waived; the verdicts stay in the ledger as they were.

    Args:
        use_case: The use case.
        checked: Fresh from the check.
        pending: Releases that are not in the ledger yet.
    """
    releases = [*standing_releases(use_case, checked.dataset, checked.partition_key), *pending]
    waivers = [each for each in releases if each.waived]
    if not waivers:
        return checked
    staged = sql.Identifier(*checked.uri.split(".", 1))
    with db.connect() as connection:
        changed = 0
        for release in waivers:
            bound = {"key": release.partition_key, "row": Jsonb(release.row), "waived": list(release.waived)}
            changed += connection.execute(_statement(_WAIVE, staged), bound).rowcount
        return _counted(connection, use_case, checked, staged) if changed else checked


def _statement(text: LiteralString, staged: sql.Identifier) -> sql.Composed:
    own = sql.Literal(_OWN) + sql.SQL("::text[]")
    same = sql.SQL(_SAME).format(staged=staged, own=own)
    return sql.SQL(text).format(staged=staged, same=same)


def _counted(
    connection: psycopg.Connection[Any], use_case: UseCase, checked: CheckedPartition, staged: sql.Identifier
) -> CheckedPartition:
    hashes = dict.fromkeys(use_case.partition_keys(checked.partition_key), EMPTY_HASH)
    columns = published_columns(use_case, checked.dataset)
    hashes |= partition_hashes(connection, staged, columns, sql.SQL("_rules IS NULL"))
    found = connection.execute(sql.SQL(_COUNTS).format(staged=staged)).fetchone()
    rows, aside = found if found is not None else (0, 0)
    return checked.model_copy(update={"rows": rows, "rows_quarantined": aside, "content_hash": combine_hashes(hashes)})


def require_fixed(use_case: UseCase, checked: CheckedPartition, releases: Iterable[RowRelease]) -> None:
    """Check that every released row can be published now.

    Raises:
        TerminalError: One still breaks a rule, or what the table itself demands, which nobody can waive. Nothing is
            released, and what was staged is dropped.
    """
    staged = sql.Identifier(*checked.uri.split(".", 1))
    broken: list[str] = []
    with db.connect() as connection:
        for release in releases:
            row = release.row if release.fixed is None else release.fixed
            bound = {"key": release.partition_key, "row": Jsonb(row)}
            for (rules,) in connection.execute(_statement(_STILL_BROKEN, staged), bound).fetchall():
                key = {name: row.get(name) for name in use_case.contract(checked.dataset).key} or row
                broken.append(f"{json.dumps(key)} breaks {', '.join(rules)}")
        broken += _unpublishable(connection, use_case.contract(checked.dataset), staged)
        if broken:
            connection.execute(sql.SQL("DROP TABLE {}").format(staged))
    if broken:
        raise TerminalError(
            f"{len(broken)} rows cannot be published, so nothing is released",
            where=f"{use_case.name}.{checked.dataset} {checked.partition_key}",
            evidence=broken,
            hint="correct them in the file, leave them out of it, or waive the rule with --as-is --rule",
        )


def _unpublishable(connection: psycopg.Connection[Any], contract: Contract, staged: sql.Identifier) -> list[str]:
    """Return what the warehouse would refuse: a standing release must not make later attempts fail."""
    found = []
    if contract.key:
        key = sql.SQL(", ").join(map(sql.Identifier, contract.key))
        twice = connection.execute(sql.SQL(_TWICE).format(key=key, staged=staged)).fetchall()
        found += [f"the key {json.dumps(row)} comes twice" for (row,) in twice]
    for column in contract.columns:
        if column.required or column.key_position is not None:
            query = sql.SQL(_WITHOUT).format(staged=staged, column=sql.Identifier(column.name))
            row = connection.execute(query).fetchone()
            found += [f"{column.name} is required, and missing in {row[0]}"] if row and row[0] else []
    return found


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
