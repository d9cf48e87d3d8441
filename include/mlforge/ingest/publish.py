"""CheckedPartition → PublishedPartition, exactly once.

One transaction holds the lock of each partition, in the order of their keys, and does all of it: is this attempt still
the newest one, has the content changed, then delete, insert, and a row in the ledger. What an attempt leaves in staging
goes at its end, or when the next attempt claims the partition.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from mlforge import db
from mlforge.db.content import combine_hashes
from mlforge.errors import ServiceUnavailableError, StaleAttemptError, TerminalError
from mlforge.ingest.profile import LandedProfiles, profile_landed, record_profiles
from mlforge.ingest.states import PartitionState, newest_states, staged_states, staging_lost, stands
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
) -> tuple[Mapping[str, PartitionState], list[str], Future[LandedProfiles] | None]:
    """Publish in one transaction; return the state of every partition, the keys of those that changed, their profiles.

    The profiles are computed while PostgreSQL writes.
    """
    profiles = None
    with db.connect() as connection:
        db.lock_partitions(connection, checked.use_case, checked.dataset, names["keys"])
        before = newest_states(connection, names)
        staged = _staged_table(connection, checked)
        if staged is None and stands(before, checked, names["keys"]):
            return before, [], None
        _require_newest(connection, checked, names)
        if staged is None:
            raise staging_lost(checked, "is gone")
        after = staged_states(connection, use_case, checked, staged, before, names)
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


def _staged_table(connection: psycopg.Connection[Any], checked: CheckedPartition) -> sql.Identifier | None:
    schema, table = checked.uri.split(".", 1)
    row = connection.execute("SELECT to_regclass(%s)", [f'{schema}."{table}"']).fetchone()
    return sql.Identifier(schema, table) if row and row[0] else None


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


def _drop_staging(checked: CheckedPartition) -> None:
    with db.connect() as connection:
        table = sql.Identifier(*checked.uri.split(".", 1))
        connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(table))


def _write(
    connection: psycopg.Connection[Any],
    use_case: UseCase,
    checked: CheckedPartition,
    staged: sql.Identifier,
    changed: Mapping[str, PartitionState],
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
    use_case: UseCase, checked: CheckedPartition, states: Mapping[str, PartitionState], changed: int
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
