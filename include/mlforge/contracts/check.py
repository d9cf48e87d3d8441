"""RawPartition → CheckedPartition."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from mlforge import db, storage
from mlforge.contracts.policy import require_policy
from mlforge.contracts.rules import Verdict
from mlforge.contracts.staging import (
    RULES,
    claim_partitions,
    drop_staging,
    is_newest,
    load_staging,
    staging_table,
)
from mlforge.contracts.translate import translate
from mlforge.contracts.validate import validate
from mlforge.db.content import EMPTY_HASH, combine_hashes, partition_hashes
from mlforge.errors import MLForgeError, StaleAttemptError
from mlforge.refs import CheckedPartition, RawPartition, code_version
from mlforge.spec import Contract, UseCase

TIMES = ["partition_key", "event_timestamp", "known_at"]
_EXAMPLES = 5

_MARK: LiteralString = """
    UPDATE {table} AS staged SET _rules = broken.rules
    FROM (SELECT row_id, array_agg(rule ORDER BY rule) AS rules
          FROM unnest(%(ids)s::bigint[], %(rules)s::text[]) AS found(row_id, rule) GROUP BY row_id) AS broken
    WHERE staged._row_id = broken.row_id
"""
_COUNTS: LiteralString = """
    SELECT partition_key, sum(_copies)::bigint, count(*), count(_rules) FROM {table} GROUP BY partition_key
"""


def check_partition(use_case: UseCase, raw: RawPartition) -> CheckedPartition:
    """Check landed rows against their contract; rows that break it are set aside, as far as the policy allows.

    Args:
        use_case: The use case.
        raw: What landed; a day, a range or a static dataset.

    Returns:
        The staging table, claimed by a new attempt: older attempts on the same partitions cannot publish any more.

    Raises:
        ContractError: A rule on a whole partition is broken, or more rows than `quarantine_up_to` are. Nothing is
            left in staging; the results are in `ledger.contract_results`.
        SpecError: The contract has a rule that cannot be checked.
        StaleAttemptError: A newer attempt has claimed one of the partitions meanwhile.
    """
    import pyarrow.parquet as pq

    contract = use_case.contract(raw.dataset)
    rules = translate(contract)
    rows = pq.read_table(io.BytesIO(storage.read_bytes(raw.uri, content_hash=raw.content_hash)))
    code = code_version(use_case.folder)
    attempt = claim_partitions(use_case, raw, code)
    table = staging_table(use_case.name, raw.dataset, attempt)
    try:
        load_staging(use_case, raw, rows, table)
        verdicts = validate(table, rules)
        return _settle(use_case, raw, verdicts, table, attempt)
    except (MLForgeError, psycopg.Error) as error:
        newest = is_newest(use_case, raw, attempt, code)
        drop_staging(table)
        if newest:
            raise
        raise StaleAttemptError(
            "a newer attempt has claimed the partition",
            where=f"{use_case.name}.{raw.dataset} {raw.partition_key}",
            hint="nothing to do: the newer attempt publishes",
        ) from error


def _settle(
    use_case: UseCase, raw: RawPartition, verdicts: Sequence[Verdict], table: str, attempt: int
) -> CheckedPartition:
    """Write the verdicts down, mark the rows, and return the reference if the policy allows it."""
    contract = use_case.contract(raw.dataset)
    staged = sql.Identifier("staging", table)
    with db.connect() as connection:
        _mark(connection, staged, verdicts)
        counts = {key: rest for key, *rest in connection.execute(sql.SQL(_COUNTS).format(table=staged)).fetchall()}
        examples = {
            verdict.rule.name: _examples(connection, staged, contract, verdict)
            for verdict in verdicts
            if verdict.row_ids
        }
        _record(connection, raw, contract, attempt, verdicts, examples)
        hashes = dict.fromkeys(use_case.partition_keys(raw.partition_key), EMPTY_HASH)
        columns = [*contract.column_names, *TIMES]
        hashes |= partition_hashes(connection, staged, columns, sql.SQL(f"{RULES} IS NULL"))
    where = f"{use_case.name}.{raw.dataset} {raw.partition_key}"
    require_policy(use_case.dataset(raw.dataset), where, verdicts, counts, examples)
    rows_in, distinct, set_aside = (sum(count[place] for count in counts.values()) for place in range(3))
    return CheckedPartition(
        use_case=use_case.name,
        dataset=raw.dataset,
        partition_key=raw.partition_key,
        uri=f"staging.{table}",
        rows=distinct - set_aside,
        content_hash=combine_hashes(hashes),
        code_version=code_version(use_case.folder),
        attempt=attempt,
        rows_in=rows_in,
        rows_quarantined=set_aside,
        rows_duplicate=rows_in - distinct,
        raw_uri=raw.uri,
        raw_hash=raw.content_hash,
        warnings=tuple(_warnings(verdicts)),
    )


def _mark(connection: psycopg.Connection[Any], staged: sql.Identifier, verdicts: Sequence[Verdict]) -> None:
    found = [
        (row_id, verdict.rule.name)
        for verdict in verdicts
        if verdict.rule.severity == "error"
        for row_id in verdict.row_ids
    ]
    if found:
        values = {"ids": [row_id for row_id, _ in found], "rules": [rule for _, rule in found]}
        connection.execute(sql.SQL(_MARK).format(table=staged), values)


def _examples(
    connection: psycopg.Connection[Any], staged: sql.Identifier, contract: Contract, verdict: Verdict
) -> list[dict[str, Any]]:
    """Return the key and the columns in question of the first few rows that break a rule."""
    names = list(dict.fromkeys([*contract.key, *verdict.rule.columns])) or contract.column_names
    query = sql.SQL("SELECT to_jsonb(shown) FROM (SELECT {} FROM {} WHERE _row_id = ANY(%s) ORDER BY _row_id) AS shown")
    columns = sql.SQL(", ").join(map(sql.Identifier, names))
    ids = list(verdict.row_ids[:_EXAMPLES])
    return [row for (row,) in connection.execute(query.format(columns, staged), [ids]).fetchall()]


def _record(
    connection: psycopg.Connection[Any],
    raw: RawPartition,
    contract: Contract,
    attempt: int,
    verdicts: Sequence[Verdict],
    examples: dict[str, list[dict[str, Any]]],
) -> None:
    observed = [
        {"examples": examples[verdict.rule.name]} if verdict.row_ids else verdict.observed for verdict in verdicts
    ]
    connection.execute(
        "INSERT INTO ledger.contract_results (use_case, dataset, partition_key, attempt, contract_version, rule,"
        " severity, passed, rows_checked, rows_failed, observed)"
        " SELECT %(use_case)s, %(dataset)s, %(key)s, %(attempt)s, %(version)s, found.* FROM unnest(%(rules)s::text[],"
        " %(severities)s::text[], %(passed)s::boolean[], %(checked)s::bigint[], %(failed)s::bigint[],"
        " %(observed)s::jsonb[]) AS found",
        {
            "use_case": raw.use_case,
            "dataset": raw.dataset,
            "key": raw.partition_key,
            "attempt": attempt,
            "version": contract.version,
            "rules": [verdict.rule.name for verdict in verdicts],
            "severities": [verdict.rule.severity for verdict in verdicts],
            "passed": [verdict.passed for verdict in verdicts],
            "checked": [raw.rows] * len(verdicts),
            "failed": [len(verdict.row_ids) for verdict in verdicts],
            "observed": [json.dumps(value) for value in observed],
        },
    )


def _warnings(verdicts: Sequence[Verdict]) -> list[str]:
    return [
        f"{verdict.rule.name}: {len(verdict.row_ids)} rows"
        if verdict.rule.scope == "row"
        else f"{verdict.rule.name}: {verdict.observed}"
        for verdict in verdicts
        if not verdict.passed and verdict.rule.severity == "warning"
    ]
