"""The training data: how much of it broke its contract, and whether the test days still look like it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, LiteralString

from psycopg.rows import dict_row

from mlforge.db import connect
from mlforge.drift import MINIMUM_ROWS, compared_columns, drift_scores
from mlforge.refs import STATIC_KEY
from mlforge.registry.checks.check import Check, is_at_most
from mlforge.registry.checks.evidence import Evidence

_SHOWN = 3

# What stood when the training set was made: of each partition of the window, the newest publication up to then.
_STOOD: LiteralString = """
    WITH stood AS (
        SELECT DISTINCT ON (p.dataset, p.partition_key) p.*
        FROM ledger.publications AS p
        JOIN unnest(%(datasets)s::text[], %(newest)s::bigint[]) AS seen(dataset, newest) USING (dataset)
        WHERE p.use_case = %(use_case)s AND p.publication_id <= seen.newest
            AND (p.partition_key = %(static)s OR p.partition_key BETWEEN %(first)s AND %(last)s)
        ORDER BY p.dataset, p.partition_key, p.version DESC
    )
"""
_BY_DATASET: LiteralString = """
    SELECT dataset, count(*) AS partitions, sum(rows_in)::bigint AS rows,
           sum(rows_quarantined)::bigint AS quarantined
    FROM stood GROUP BY dataset ORDER BY dataset
"""
_BROKEN: LiteralString = """
    SELECT r.dataset, r.rule, count(DISTINCT r.partition_key) AS partitions
    FROM stood JOIN ledger.contract_results AS r USING (use_case, dataset, partition_key, attempt)
    WHERE r.severity <> 'info' AND NOT r.passed
    GROUP BY r.dataset, r.rule ORDER BY partitions DESC, r.dataset, r.rule
"""


def check_contract(evidence: Evidence) -> list[Check]:
    """Return whether no dataset of the training window had more than `maximum_quarantined` of its rows set aside."""
    limit = evidence.use_case.gates.maximum_quarantined
    if limit is None:
        return []
    name = "data keeps its contract"
    datasets, broken_rules = _contract_state(evidence)
    read = [row for row in datasets if row["rows"]]
    if not read:
        detail = "the ledger has no publication of the training window: how sound its rows are cannot be told"
        return [Check(name=name, passed=False, detail=detail, figures={"limit": limit})]
    shares = {row["dataset"]: row["quarantined"] / row["rows"] for row in read}
    worst = max(read, key=lambda row: shares[row["dataset"]])
    check = is_at_most(
        name,
        shares[worst["dataset"]],
        limit,
        f"{worst['dataset']}: {worst['quarantined']:,} of {worst['rows']:,} rows of the training window quarantined, "
        "a share of",
        rows=sum(row["rows"] for row in read),
        quarantined=sum(row["quarantined"] for row in read),
        partitions=sum(row["partitions"] for row in read),
        rules_broken=len(broken_rules),
        **{f"share_{dataset}": share for dataset, share in shares.items()},
    )
    return [check.model_copy(update={"detail": check.detail + _in_words(broken_rules)})]


def _contract_state(evidence: Evidence) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    training_set = evidence.candidate.training_set
    first = training_set.as_of - timedelta(days=evidence.use_case.training.window_days)
    values = {
        "use_case": evidence.use_case.name,
        "datasets": list(training_set.publications),
        "newest": list(training_set.publications.values()),
        "static": STATIC_KEY,
        "first": f"{first:%Y-%m-%d}",
        "last": f"{training_set.as_of - timedelta(days=1):%Y-%m-%d}",
    }
    with connect() as connection, connection.cursor(row_factory=dict_row) as cursor:
        datasets = cursor.execute(_STOOD + _BY_DATASET, values).fetchall()
        return datasets, cursor.execute(_STOOD + _BROKEN, values).fetchall()


def _in_words(broken_rules: list[dict[str, Any]]) -> str:
    if not broken_rules:
        return ""
    shown = ", ".join(
        f"{row['dataset']}: {row['rule']} ({row['partitions']} partitions)" for row in broken_rules[:_SHOWN]
    )
    rest = len(broken_rules) - _SHOWN
    return f"; broken: {shown}{f' and {rest} more' if rest > 0 else ''}"


def check_drift(evidence: Evidence) -> list[Check]:
    """Return whether at most `maximum_drifted` of the columns differ between the test days and the days before."""
    limit = evidence.use_case.gates.maximum_drifted
    if limit is None:
        return []
    name, threshold = "test days look like the training days", evidence.use_case.monitors.psi_threshold
    before = evidence.examples.table.slice(0, len(evidence.examples) - len(evidence.test))
    after = evidence.test.table
    rows = min(before.num_rows, after.num_rows)
    if rows < MINIMUM_ROWS:
        detail = f"{rows} rows are too few to tell drift; it takes {MINIMUM_ROWS}"
        return [Check(name=name, passed=False, detail=detail, figures={"rows": rows, "limit": limit})]
    scores = drift_scores(before, after, compared_columns(evidence.use_case, before.schema))
    drifted = sorted((name for name, score in scores.items() if score >= threshold), key=lambda each: -scores[each])
    check = is_at_most(
        name,
        len(drifted) / max(1, len(scores)),
        limit,
        f"{len(drifted)} of {len(scores)} columns have a PSI of {threshold:g} or more: share",
        columns=len(scores),
        drifted=len(drifted),
        **{f"psi_{column}": round(scores[column], 4) for column in drifted},
    )
    shown = ", ".join(f"{column} {scores[column]:.2f}" for column in drifted[:_SHOWN])
    return [check.model_copy(update={"detail": check.detail + (f"; most: {shown}" if drifted else "")})]
