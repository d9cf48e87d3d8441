"""Writing the release ledger: the one place that appends to it, under its lock."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from mlforge.db import ledger, lock_partition
from mlforge.errors import PromotionError
from mlforge.refs import Release

_INSERT = """
    INSERT INTO ledger.releases (
        use_case, sequence, parent_id, kind, partition_key, model_name, model_version, model_uri, mlflow_run_id,
        content_hash, decision_id, bento, feature_service, training_set, evidence, traffic_plan, code_version, run_id,
        who, why, version, fingerprints
    ) VALUES (
        %(use_case)s, %(sequence)s, %(parent_id)s, 'promote', %(partition_key)s, %(model_name)s, %(model_version)s,
        %(model_uri)s, %(mlflow_run_id)s, %(content_hash)s, %(decision_id)s, %(bento)s, %(feature_service)s,
        %(training_set)s, %(evidence)s, %(traffic_plan)s, %(code_version)s, %(run_id)s, %(who)s, %(why)s,
        %(version)s, %(fingerprints)s
    )
"""
_COPY = """
    INSERT INTO ledger.releases (
        use_case, sequence, parent_id, kind, partition_key, model_name, model_version, model_uri, mlflow_run_id,
        content_hash, decision_id, bento, feature_service, training_set, evidence, traffic_plan, code_version, who, why,
        version, fingerprints
    )
    SELECT use_case, %(sequence)s, %(parent_id)s, 'rollback', partition_key, model_name, model_version, model_uri,
           mlflow_run_id, content_hash, decision_id, bento, feature_service, training_set, evidence, traffic_plan,
           code_version, %(who)s, %(why)s, version, fingerprints
    FROM ledger.releases WHERE release_id = %(source)s
"""


def lock_releases(connection: psycopg.Connection[Any], use_case: str) -> None:
    """Wait for the lock on a use case's releases and its alias; it goes with the transaction."""
    lock_partition(connection, use_case, "releases")


def append_promotion(
    connection: psycopg.Connection[Any], use_case: str, champion: ledger.ReleaseRecord | None, values: dict[str, Any]
) -> Release:
    """Return the new champion: the row that follows the given one, written inside the open transaction.

    Args:
        connection: Holds the lock.
        use_case: Whose release.
        champion: The newest row, None for a first release.
        values: The other columns of the row.
    """
    sequence = champion.sequence + 1 if champion else 1
    row = {
        **values,
        "use_case": use_case,
        "sequence": sequence,
        "parent_id": champion.release.release_id if champion else None,
        "bento": f"{use_case}:v{values['model_version']}-r{sequence}",
    }
    for name in ("training_set", "evidence", "traffic_plan", "fingerprints"):
        row[name] = Jsonb(row[name])
    _execute(connection, use_case, _INSERT, row)
    return _newest(connection, use_case)


def append_rollback(
    connection: psycopg.Connection[Any],
    champion: ledger.ReleaseRecord,
    target: ledger.ReleaseRecord,
    *,
    who: str,
    why: str,
) -> Release:
    """Return the new champion: a copy of an earlier row that follows the newest one."""
    use_case = champion.release.use_case
    values = {
        "sequence": champion.sequence + 1,
        "parent_id": champion.release.release_id,
        "source": target.release.release_id,
        "who": who,
        "why": why,
    }
    _execute(connection, use_case, _COPY, values)
    return _newest(connection, use_case)


def _execute(connection: psycopg.Connection[Any], use_case: str, statement: str, values: dict[str, Any]) -> None:
    try:
        connection.execute(statement.encode(), values)
    except psycopg.errors.UniqueViolation as error:
        # Only a writer that does not take the lock gets here; the index refuses it all the same.
        raise PromotionError(
            "another release came first", where=use_case, hint="see `mlforge models history`, then decide again"
        ) from error


def _newest(connection: psycopg.Connection[Any], use_case: str) -> Release:
    record = ledger.newest_record(connection, use_case)
    if record is None:
        raise PromotionError("the release was not written", where=use_case)
    return record.release


def surviving(records: list[ledger.ReleaseRecord]) -> list[ledger.ReleaseRecord]:
    """Return the promotions that no rollback has taken back, oldest first: the last one is the champion's model."""
    stack: list[ledger.ReleaseRecord] = []
    for record in records:
        if record.kind == "promote":
            stack.append(record)
        else:
            while stack and stack[-1].release.uri != record.release.uri:
                stack.pop()
    return stack
