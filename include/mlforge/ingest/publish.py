"""CheckedPartition → PublishedPartition, exactly once.

One transaction holds the lock of each partition, in the order of their keys, and does all of it: is this attempt still
the newest one, has the content changed, then delete, insert, and a row in the ledger. What an attempt leaves in staging
goes at its end, or when the next attempt claims the partition.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from mlforge import db
from mlforge.db.content import EMPTY_HASH, combine_hashes, partition_hashes
from mlforge.errors import ServiceUnavailableError, StaleAttemptError, TerminalError
from mlforge.ingest.profile import LandedProfiles, profile_landed, record_profiles
from mlforge.ingest.warehouse import add_indexes, ensure_table, published_columns, warehouse_table
from mlforge.refs import CheckedPartition, PublishedPartition, code_version
from mlforge.spec import UseCase

log = logging.getLogger(__name__)

_ANALYZE_FROM = 5000  # changed rows from which on the planner's statistics are renewed at once

_FENCE: LiteralString = """
    SELECT key FROM unnest(%(keys)s::text[]) AS key WHERE NOT EXISTS (
        SELECT FROM ledger.attempts
        WHERE use_case = %(use_case)s AND dataset = %(dataset)s AND partition_key = key AND attempt > %(attempt)s
            AND (raw_hash, code_version) IS DISTINCT FROM (%(raw_hash)s, %(code_version)s))
"""
_NEWEST: LiteralString = """
    SELECT DISTINCT ON (partition_key)
           partition_key, version, content_hash, quarantine_hash, rows_in, rows_published, rows_quarantined,
           rows_duplicate
    FROM ledger.publications
    WHERE use_case = %(use_case)s AND dataset = %(dataset)s AND partition_key = ANY(%(keys)s)
    ORDER BY partition_key, version DESC
"""
_COUNTS: LiteralString = """
    SELECT partition_key, sum(_copies)::bigint, count(*) - count(_rules), count(_rules),
           (sum(_copies) - count(*))::bigint
    FROM {staged} GROUP BY partition_key
"""
_CHECKED: LiteralString = """
    SELECT partition_key, rows_in, rows_kept, rows_broken, rows_duplicate, content_hash, quarantine_hash
    FROM ledger.contract_checks
    WHERE use_case = %(use_case)s AND dataset = %(dataset)s AND partition_key = ANY(%(keys)s) AND attempt = %(attempt)s
"""
_DELETE: LiteralString = """
    DELETE FROM {table} WHERE partition_key = ANY(%(keys)s)
"""
_INSERT: LiteralString = """
    INSERT INTO {table} ({columns})
    SELECT {columns} FROM {staged} WHERE _rules IS NULL AND partition_key = ANY(%(keys)s)
"""
_CLEAR_QUARANTINE: LiteralString = """
    DELETE FROM quarantine.rows
    WHERE use_case = %(use_case)s AND dataset = %(dataset)s AND partition_key = ANY(%(keys)s)
"""
_QUARANTINE: LiteralString = """
    INSERT INTO quarantine.rows (use_case, dataset, partition_key, attempt, row, rules)
    SELECT %(use_case)s, %(dataset)s, partition_key, %(attempt)s,
           to_jsonb(staged) - '{{_row_id,_copies,_rules,partition_key}}'::text[], _rules
    FROM {staged} AS staged WHERE _rules IS NOT NULL AND partition_key = ANY(%(keys)s)
"""
_RECORD: LiteralString = """
    INSERT INTO ledger.publications (use_case, dataset, partition_key, version, attempt, rows_in, rows_published,
        rows_quarantined, rows_duplicate, content_hash, quarantine_hash, raw_uri, raw_hash, contract_version,
        code_version, run_id)
    SELECT %(use_case)s, %(dataset)s, new.key, new.version, %(attempt)s, new.came, new.published, new.quarantined,
           new.duplicate, new.content_hash, new.quarantine_hash, %(raw_uri)s, %(raw_hash)s, %(contract_version)s,
           %(code_version)s, %(run_id)s
    FROM unnest(%(new_keys)s::text[], %(versions)s::integer[], %(came)s::bigint[], %(published)s::bigint[],
                %(quarantined)s::bigint[], %(duplicate)s::bigint[], %(hashes)s::text[], %(quarantine_hashes)s::text[])
         AS new(key, version, came, published, quarantined, duplicate, content_hash, quarantine_hash)
    ORDER BY new.key
"""


@dataclass(frozen=True)
class _State:
    """What stands, or shall stand, in the ledger for one partition."""

    version: int
    content_hash: str
    quarantine_hash: str
    rows_in: int
    rows_published: int
    rows_quarantined: int
    rows_duplicate: int

    def same_content(self, other: _State) -> bool:
        """Return whether nothing but the version differs."""
        return {**vars(self), "version": 0} == {**vars(other), "version": 0}


def publish_partition(use_case: UseCase, checked: CheckedPartition, *, run_id: str | None = None) -> PublishedPartition:
    """Put checked rows into the warehouse, in place of what was there; the same content changes nothing.

    Args:
        use_case: The use case.
        checked: What an attempt checked.
        run_id: Name of the run that asks, for the ledger.

    Raises:
        StaleAttemptError: A newer attempt has claimed one of the partitions; nothing is written.
        TerminalError: The staging table is gone or not whole, or the warehouse refuses a row.
        ServiceUnavailableError: PostgreSQL went away, or could not carry it out; nothing is written.
    """
    names = _names(checked, run_id, use_case)
    profiler = ThreadPoolExecutor(max_workers=1)
    try:
        after, changed, profiles = _replace(use_case, checked, names, profiler)
    except StaleAttemptError:
        _drop_staging(checked)
        raise
    except psycopg.OperationalError as error:
        raise ServiceUnavailableError(
            f"PostgreSQL did not carry it out: {' '.join(str(error).split())}",
            where=f"{checked.use_case}.{checked.dataset} {checked.partition_key}",
            hint="nothing was published; publish again",
        ) from error
    except psycopg.IntegrityError as error:
        _drop_staging(checked)
        raise TerminalError(
            f"the warehouse refuses rows: {' '.join(str(error).split())}",
            where=f"{checked.use_case}.{checked.dataset} {checked.partition_key}",
            hint="a key that comes twice and a required column without a value cannot be published: fix the rows",
        ) from error
    finally:
        profiler.shutdown(wait=False)
    _refresh_statistics(use_case, checked, sum(after[key].rows_published for key in changed))
    _profile(use_case, checked, changed, profiles)
    return _published(use_case, checked, after, len(changed))


def _replace(
    use_case: UseCase, checked: CheckedPartition, names: dict[str, Any], profiler: ThreadPoolExecutor
) -> tuple[Mapping[str, _State], list[str], Future[LandedProfiles] | None]:
    """Publish in one transaction; return the state of every partition, the keys of those that changed, their profiles.

    The profiles are computed while PostgreSQL writes.
    """
    profiles = None
    with db.connect() as connection:
        db.lock_partitions(connection, checked.use_case, checked.dataset, names["keys"])
        before = _newest(connection, names)
        staged = _staged_table(connection, checked)
        if staged is None and _stands(before, checked, names["keys"]):
            return before, [], None
        _require_newest(connection, checked, names)
        if staged is None:
            raise _lost(checked, "is gone")
        after = _staged_states(connection, use_case, checked, staged, before, names)
        changed = [key for key in after if key not in before or not after[key].same_content(before[key])]
        if changed:
            profiles = profiler.submit(profile_landed, use_case, checked, changed)
            _write(connection, use_case, checked, staged, {key: after[key] for key in changed}, names)
        connection.execute(sql.SQL("DROP TABLE {}").format(staged))
    return after, changed, profiles


def _names(checked: CheckedPartition, run_id: str | None, use_case: UseCase) -> dict[str, Any]:
    return {
        "use_case": checked.use_case,
        "dataset": checked.dataset,
        "keys": use_case.partition_keys(checked.partition_key),
        "attempt": checked.attempt,
        "raw_uri": checked.raw_uri,
        "raw_hash": checked.raw_hash,
        "contract_version": use_case.contract(checked.dataset).version,
        "code_version": checked.code_version,
        "run_id": run_id,
    }


def _newest(connection: psycopg.Connection[Any], names: dict[str, Any]) -> dict[str, _State]:
    return {key: _State(*rest) for key, *rest in connection.execute(_NEWEST, names).fetchall()}


def _staged_table(connection: psycopg.Connection[Any], checked: CheckedPartition) -> sql.Identifier | None:
    schema, table = checked.uri.split(".", 1)
    row = connection.execute("SELECT to_regclass(%s)", [f'{schema}."{table}"']).fetchone()
    return sql.Identifier(schema, table) if row and row[0] else None


def _stands(before: Mapping[str, _State], checked: CheckedPartition, keys: list[str]) -> bool:
    """Return whether the checked content is what was published last: this call repeats one that had come through."""
    hashes = {key: before[key].content_hash for key in keys if key in before}
    return len(hashes) == len(keys) and combine_hashes(hashes) == checked.content_hash


def _require_newest(connection: psycopg.Connection[Any], checked: CheckedPartition, names: dict[str, Any]) -> None:
    mine = {key for (key,) in connection.execute(_FENCE, names).fetchall()}
    lost = [key for key in names["keys"] if key not in mine]
    if lost:
        raise StaleAttemptError(
            f"a newer attempt than {checked.attempt} has claimed {len(lost)} of {len(names['keys'])} partitions",
            where=f"{checked.use_case}.{checked.dataset} {checked.partition_key}",
            evidence=lost,
            hint="nothing to do: the newer attempt publishes",
        )


def _staged_states(
    connection: psycopg.Connection[Any],
    use_case: UseCase,
    checked: CheckedPartition,
    staged: sql.Identifier,
    before: Mapping[str, _State],
    names: dict[str, Any],
) -> dict[str, _State]:
    """Return what the partitions will be, after checking that staging still holds what was checked."""
    keys = names["keys"]
    counts = {key: rest for key, *rest in connection.execute(sql.SQL(_COUNTS).format(staged=staged)).fetchall()}
    hashes, aside = _recorded(connection, counts, names)
    if combine_hashes(hashes) != checked.content_hash:
        # A row was let out of quarantine after the check, or rows are gone.
        columns = published_columns(use_case, checked.dataset)
        hashes = dict.fromkeys(keys, EMPTY_HASH)
        hashes |= partition_hashes(connection, staged, columns, sql.SQL("_rules IS NULL"))
        aside = partition_hashes(connection, staged, [*columns, "_rules"], sql.SQL("_rules IS NOT NULL"))
    came = sum(rows for rows, *_ in counts.values())
    if combine_hashes(hashes) != checked.content_hash or came != checked.rows_in:
        raise _lost(checked, "does not hold what was checked")
    return {
        key: _State(
            before[key].version + 1 if key in before else 1, hashes[key], aside.get(key, ""), *counts.get(key, [0] * 4)
        )
        for key in keys
    }


def _recorded(
    connection: psycopg.Connection[Any], counts: Mapping[str, list[int]], names: dict[str, Any]
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the hashes that the check wrote down, of the rows kept and of those set aside, where the counts hold."""
    hashes, aside = dict.fromkeys(names["keys"], EMPTY_HASH), {}
    for key, *recorded, content_hash, quarantine_hash in connection.execute(_CHECKED, names).fetchall():
        hashes[key], aside[key] = content_hash if counts.get(key) == recorded else "", quarantine_hash
    return hashes, aside


def _drop_staging(checked: CheckedPartition) -> None:
    with db.connect() as connection:
        table = sql.Identifier(*checked.uri.split(".", 1))
        connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(table))


def _lost(checked: CheckedPartition, what: str) -> TerminalError:
    """Staging is unlogged: a crash of the server empties it."""
    return TerminalError(
        f"the staging table {checked.uri} {what}",
        where=f"{checked.use_case}.{checked.dataset} {checked.partition_key}",
        hint="check the partition again, then publish",
    )


def _write(
    connection: psycopg.Connection[Any],
    use_case: UseCase,
    checked: CheckedPartition,
    staged: sql.Identifier,
    changed: Mapping[str, _State],
    names: dict[str, Any],
) -> None:
    new = ensure_table(connection, use_case, checked.dataset)
    table = warehouse_table(use_case, checked.dataset)
    columns = sql.SQL(", ").join(map(sql.Identifier, published_columns(use_case, checked.dataset)))
    states = list(changed.values())
    values = {
        **names,
        "keys": list(changed),
        "new_keys": list(changed),
        "versions": [state.version for state in states],
        "came": [state.rows_in for state in states],
        "published": [state.rows_published for state in states],
        "quarantined": [state.rows_quarantined for state in states],
        "duplicate": [state.rows_duplicate for state in states],
        "hashes": [state.content_hash for state in states],
        "quarantine_hashes": [state.quarantine_hash for state in states],
    }
    for statement in (_DELETE, _INSERT, _CLEAR_QUARANTINE, _QUARANTINE, _RECORD):
        connection.execute(sql.SQL(statement).format(table=table, columns=columns, staged=staged), values)
    if new:
        add_indexes(connection, use_case, checked.dataset)


def _refresh_statistics(use_case: UseCase, checked: CheckedPartition, rows: int) -> None:
    if rows >= _ANALYZE_FROM:
        with db.connect(autocommit=True) as connection:
            connection.execute(sql.SQL("ANALYZE {}").format(warehouse_table(use_case, checked.dataset)))


def _profile(
    use_case: UseCase, checked: CheckedPartition, changed: list[str], profiles: Future[LandedProfiles] | None
) -> None:
    """Write down what the changed partitions hold; what is published stands, whatever becomes of that."""
    if changed:
        try:
            # Of a raw file that is gone meanwhile, the table knows.
            landed = profiles.result() if profiles and not profiles.exception() else None
            record_profiles(use_case, checked.dataset, changed, landed)
        except Exception:
            where = f"{checked.use_case}.{checked.dataset} {checked.partition_key}"
            log.warning("%s is published, but without a profile; `mlforge profile` makes it", where, exc_info=True)


def _published(
    use_case: UseCase, checked: CheckedPartition, states: Mapping[str, _State], changed: int
) -> PublishedPartition:
    return PublishedPartition(
        use_case=use_case.name,
        dataset=checked.dataset,
        partition_key=checked.partition_key,
        uri=f"warehouse.{use_case.table(checked.dataset)}",
        rows=sum(state.rows_published for state in states.values()),
        content_hash=combine_hashes({key: state.content_hash for key, state in states.items()}),
        code_version=code_version(use_case.folder),
        rows_quarantined=sum(state.rows_quarantined for state in states.values()),
        rows_duplicate=sum(state.rows_duplicate for state in states.values()),
        changed=changed,
    )
