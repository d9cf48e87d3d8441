"""RawPartition → CheckedPartition."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from mlforge import db, storage
from mlforge.contracts import results
from mlforge.contracts.custom import judge_custom, require_expectations
from mlforge.contracts.judge import judge
from mlforge.contracts.marking import mark_rows, with_examples
from mlforge.contracts.measure import measure
from mlforge.contracts.page import store_page
from mlforge.contracts.policy import Counts, Decision, contract_error, decide, sets_aside, total
from mlforge.contracts.record import record_check
from mlforge.contracts.results import CheckResult
from mlforge.contracts.rules import Finding, Rule
from mlforge.contracts.staging import (
    RULES,
    claim_partitions,
    drop_staging,
    is_newest,
    load_staging,
    staging_table,
)
from mlforge.contracts.translate import translate
from mlforge.db.content import EMPTY_HASH, combine_hashes, partition_hashes
from mlforge.errors import MLForgeError, StaleAttemptError
from mlforge.refs import CheckedPartition, RawPartition, code_version
from mlforge.spec import UseCase

if TYPE_CHECKING:
    import pyarrow as pa

TIMES = ["partition_key", "event_timestamp", "known_at"]


@dataclass(frozen=True)
class _Check:
    """What is being checked: rows of some partitions, in a staging table of their own."""

    use_case: UseCase
    dataset: str
    partition_key: str
    table: str
    attempt: int
    extra_columns: tuple[str, ...]

    @property
    def where(self) -> str:
        """Use case, dataset and partition, for errors."""
        return f"{self.use_case.name}.{self.dataset} {self.partition_key}"


def check_partition(use_case: UseCase, raw: RawPartition) -> CheckedPartition:
    """Check landed rows against their contract; rows that break it are set aside, as far as the policy allows.

    Args:
        use_case: The use case.
        raw: What landed; a day, a range or a static dataset.

    Returns:
        The staging table, claimed by a new attempt: older attempts on the same partitions cannot publish any more.

    Raises:
        ContractError: The policy refuses a partition; the error names a page with the results. Nothing is left in
            staging; the results are in `ledger.contract_checks` and `ledger.contract_results`.
        SpecError: The contract has a rule that cannot be checked.
        StaleAttemptError: A newer attempt has claimed one of the partitions meanwhile.
    """
    import pyarrow.parquet as pq

    rules = translate(use_case.contract(raw.dataset))
    require_expectations(rules)
    rows = pq.read_table(io.BytesIO(storage.read_bytes(raw.uri, content_hash=raw.content_hash)))
    code = code_version(use_case.folder)
    attempt = claim_partitions(use_case, raw, code)
    table = staging_table(use_case.name, raw.dataset, attempt)
    extra = _extra_columns(use_case, raw.dataset, rows)
    check = _Check(use_case, raw.dataset, raw.partition_key, table, attempt, extra)
    try:
        found, findings, decisions, hashes = _examine(check, rows, rules)
        _refuse(check, found, findings, decisions)
        return _checked(check, raw, findings, decisions, hashes)
    except (MLForgeError, psycopg.Error) as error:
        newest = is_newest(use_case, raw, attempt, code)
        drop_staging(table)
        if newest:
            raise
        raise StaleAttemptError(
            "a newer attempt has claimed the partition",
            where=check.where,
            hint="nothing to do: the newer attempt publishes",
        ) from error


def preview_rows(use_case: UseCase, dataset: str, key: str, rows: pa.Table) -> CheckResult:
    """Check rows without publishing anything, claiming a partition or writing to the ledger.

    Args:
        use_case: The use case.
        dataset: One of its datasets.
        key: The partitions that the rows are of, for the result.
        rows: At least the contract's columns, in its types.

    Raises:
        SpecError: The contract has a rule that cannot be checked.
    """
    rules = translate(use_case.contract(dataset))
    require_expectations(rules)
    with db.connect() as connection:
        row = connection.execute("SELECT nextval('ledger.attempt_numbers')").fetchone()
    attempt = int(row[0]) if row else 0
    table = staging_table(use_case.name, dataset, attempt)
    check = _Check(use_case, dataset, key, table, attempt, _extra_columns(use_case, dataset, rows))
    try:
        found, *_ = _examine(check, rows, rules, keep=False)
        return found
    finally:
        drop_staging(table)


def _extra_columns(use_case: UseCase, dataset: str, rows: pa.Table) -> tuple[str, ...]:
    known = set(use_case.contract(dataset).column_names)
    return tuple(name for name in rows.column_names if name not in known)


def _examine(
    check: _Check, rows: pa.Table, rules: Sequence[Rule], *, keep: bool = True
) -> tuple[CheckResult, list[Finding], dict[str, Decision], dict[str, tuple[str, str]]]:
    """Load the rows, measure and judge them, mark those to be set aside, and write it all down."""
    contract, dataset = check.use_case.contract(check.dataset), check.use_case.dataset(check.dataset)
    one_by_one = any(rule.query or rule.custom for rule in rules)
    unique = load_staging(check.use_case, check.dataset, rows, check.table, indexed=one_by_one)
    with db.connect() as connection:
        known, values = [tuple(contract.key)] if unique else [], rows.select(contract.column_names)
        figures = measure(connection, check.table, rules, rows=len(rows), known_unique=known, values=values)
        findings = judge([rule for rule in rules if rule.custom is None], figures)
        findings += judge_custom([rule for rule in rules if rule.custom], check.table, list(figures.counts))
        findings = with_examples(connection, check.table, contract, findings)
        counts = mark_rows(connection, check.table, dataset, findings) or {
            key: Counts(came, distinct, 0) for key, (came, distinct) in figures.counts.items()
        }
        decisions = decide(dataset, counts, findings, check.extra_columns)
        hashes: dict[str, tuple[str, str]] = {}
        if keep:
            names = (check.use_case.name, check.dataset, check.attempt)
            hashes = _hashes(connection, check, decisions)
            record_check(connection, names, contract, decisions, findings, check.extra_columns, hashes)
        return _result(connection, check, findings, decisions), findings, decisions, hashes


def _hashes(
    connection: psycopg.Connection[Any], check: _Check, decisions: dict[str, Decision]
) -> dict[str, tuple[str, str]]:
    """Return partition key → hash of the rows kept, and of those set aside; nothing if a partition is refused."""
    if any(decision.outcome == "failed" for decision in decisions.values()):
        return {}
    staged = sql.Identifier("staging", check.table)
    columns = [*check.use_case.contract(check.dataset).column_names, *TIMES]
    kept, aside = partition_hashes(connection, staged, columns, sql.SQL(f"{RULES} IS NULL")), {}
    if any(decision.counts.broken for decision in decisions.values()):
        aside = partition_hashes(connection, staged, [*columns, RULES], sql.SQL(f"{RULES} IS NOT NULL"))
    return {key: (kept.get(key, EMPTY_HASH), aside.get(key, "")) for key in decisions}


def _result(
    connection: psycopg.Connection[Any], check: _Check, findings: Sequence[Finding], decisions: dict[str, Decision]
) -> CheckResult:
    name, keys = check.use_case.name, sorted(decisions)
    first = keys[0] if len(keys) > 1 else None
    before = results.history(connection, name, check.dataset, keys[-1] if keys else "", first)
    now = {key: (decision.outcome, decision.counts) for key, decision in decisions.items()}
    outcomes = {decision.outcome for decision in decisions.values()}
    return CheckResult(
        use_case=name,
        dataset=check.dataset,
        partition_key=check.partition_key,
        contract_version=check.use_case.contract(check.dataset).version,
        attempt=check.attempt,
        outcome=next((each for each in ("failed", "quarantined", "warned") if each in outcomes), "passed"),
        counts=total(decision.counts for decision in decisions.values()),
        rules=results.summarise(findings, decisions),
        checked_at=datetime.now(UTC),
        reasons=tuple(f"{key}: {why}" for key, decision in sorted(decisions.items()) for why in decision.reasons),
        extra_columns=check.extra_columns,
        partitions={**before, **now},
    )


def _refuse(check: _Check, found: CheckResult, findings: Sequence[Finding], decisions: dict[str, Decision]) -> None:
    """Store the page, and raise the error if the policy refuses a partition."""
    page = store_page(found)
    error = contract_error(check.where, check.use_case.dataset(check.dataset), decisions, findings, page)
    if error is not None:
        raise error


def _checked(
    check: _Check,
    raw: RawPartition,
    findings: Sequence[Finding],
    decisions: dict[str, Decision],
    hashes: dict[str, tuple[str, str]],
) -> CheckedPartition:
    dataset = check.use_case.dataset(check.dataset)
    keys = check.use_case.partition_keys(check.partition_key)
    contents = dict.fromkeys(keys, EMPTY_HASH) | {key: kept for key, (kept, _) in hashes.items()}
    counts = total(decision.counts for decision in decisions.values())
    aside = [finding.rule.name for finding in findings if sets_aside(dataset, finding.rule)]
    warnings = results.warnings(findings, aside)
    if check.extra_columns and dataset.policy.extra_columns == "warn":
        warnings.append(f"columns that the contract does not name: {', '.join(check.extra_columns)}")
    return CheckedPartition(
        use_case=raw.use_case,
        dataset=raw.dataset,
        partition_key=raw.partition_key,
        uri=f"staging.{check.table}",
        rows=counts.kept,
        content_hash=combine_hashes(contents),
        code_version=code_version(check.use_case.folder),
        attempt=check.attempt,
        rows_in=counts.rows_in,
        rows_quarantined=counts.broken,
        rows_duplicate=counts.duplicate,
        raw_uri=raw.uri,
        raw_hash=raw.content_hash,
        warnings=tuple(warnings),
    )
