"""Where a version comes from and what was made of it, as the ledger has it."""

from __future__ import annotations

from typing import Any, LiteralString

import psycopg
from psycopg.rows import dict_row

from mlforge import db
from mlforge.errors import DataVersionError
from mlforge.spec import UseCase
from mlforge.versions.names import parse_name
from mlforge.versions.records import VersionRecord, recorded_versions

Row = dict[str, Any]

_PUBLICATIONS: LiteralString = """
    SELECT p.dataset, p.publication_id, p.partition_key, p.version, p.rows_published, p.rows_quarantined,
           p.rows_duplicate, p.content_hash, p.raw_uri, p.raw_hash, p.contract_version, p.code_version, p.run_id,
           p.published_at, coalesce(r.passed, 0) AS rules_passed, coalesce(r.failed, 0) AS rules_failed
    FROM ledger.publications AS p
    LEFT JOIN (
        SELECT dataset, attempt, count(*) FILTER (WHERE passed) AS passed, count(*) FILTER (WHERE NOT passed) AS failed
        FROM ledger.contract_results WHERE use_case = %(use_case)s GROUP BY dataset, attempt
    ) AS r USING (dataset, attempt)
    WHERE p.publication_id = ANY(%(ids)s) ORDER BY p.dataset, p.partition_key
"""

# What stood of a dataset when a training set was made: for each day before its instant, the newest publication then.
_STOOD: LiteralString = """
    SELECT DISTINCT ON (partition_key) publication_id FROM ledger.publications
    WHERE use_case = %(use_case)s AND dataset = %(dataset)s AND publication_id <= %(newest)s
        AND (partition_key = 'static' OR partition_key < to_char(%(as_of)s AT TIME ZONE 'UTC', 'YYYY-MM-DD'))
    ORDER BY partition_key, version DESC
"""
_TRAINING_SETS_WITH: LiteralString = """
    SELECT t.training_set_id, t.partition_key, t.as_of, t.rows, t.uri, t.content_hash, t.code_version, t.run_id,
           t.assembled_at, count(*) FILTER (WHERE stood.publication_id = ANY(%(ids)s)) AS partitions
    FROM ledger.training_sets AS t
    CROSS JOIN LATERAL (
        SELECT DISTINCT ON (partition_key) publication_id FROM ledger.publications AS p
        WHERE p.use_case = %(use_case)s AND p.dataset = %(dataset)s
            AND p.publication_id <= (t.publications ->> %(dataset)s)::bigint
            AND (partition_key = 'static' OR partition_key < to_char(t.as_of AT TIME ZONE 'UTC', 'YYYY-MM-DD'))
        ORDER BY partition_key, version DESC
    ) AS stood
    WHERE t.use_case = %(use_case)s
    GROUP BY t.training_set_id
    HAVING count(*) FILTER (WHERE stood.publication_id = ANY(%(ids)s)) > 0
    ORDER BY t.training_set_id
"""
_TRAINING_SETS: LiteralString = """
    SELECT training_set_id, partition_key, as_of, rows, uri, content_hash, code_version, run_id, assembled_at,
           publications
    FROM ledger.training_sets WHERE use_case = %(use_case)s AND content_hash = %(hash)s ORDER BY training_set_id
"""
_DECISIONS: LiteralString = """
    SELECT DISTINCT ON (model_name, model_version)
           evidence -> 'candidate' -> 'training_set' ->> 'content_hash' AS training_set_hash, model_name, model_version,
           evidence -> 'candidate' ->> 'run_id' AS mlflow_run_id, passed, run_id, decided_at
    FROM ledger.gate_decisions
    WHERE use_case = %(use_case)s
        AND evidence -> 'candidate' -> 'training_set' ->> 'content_hash' = ANY(%(hashes)s)
    ORDER BY model_name, model_version, decision_id DESC
"""
_RELEASES: LiteralString = """
    SELECT r.training_set ->> 'content_hash' AS training_set_hash, r.release_id, r.kind, r.model_name, r.model_version,
           r.mlflow_run_id, r.bento, r.who, r.why, r.run_id, r.released_at, d.state, d.changed_at AS state_since,
           (SELECT count(*) FROM ledger.predictions AS p WHERE p.release_id = r.release_id) AS predictions
    FROM ledger.releases AS r
    LEFT JOIN LATERAL (
        SELECT state, changed_at FROM ledger.deployments WHERE release_id = r.release_id
        ORDER BY deployment_id DESC LIMIT 1
    ) AS d ON true
    WHERE r.use_case = %(use_case)s AND r.training_set ->> 'content_hash' = ANY(%(hashes)s)
    ORDER BY r.release_id
"""


def find_record(text: str) -> VersionRecord:
    """Return the ledger's row of the version that a person names; without its last part, the newest of its series.

    Raises:
        DataVersionError: The ledger has none of that name.
    """
    import difflib

    series, version = parse_name(text)
    with db.connect() as connection:
        records = recorded_versions(connection, series.use_case)
    found = [record for record in records if record.name.series == series and version in (None, record.version)]
    if found:
        return found[-1]
    near = difflib.get_close_matches(text, [str(record.name) for record in records], n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else "see `mlforge data version list USE_CASE`"
    raise DataVersionError(f"the ledger has no version {text}", hint=hint)


def list_versions(use_case: str) -> list[tuple[VersionRecord, list[Row]]]:
    """Return the versions of a use case, oldest first by dataset, each with the training sets that used it."""
    with db.connect() as connection:
        return [(record, _used_by(connection, record)) for record in recorded_versions(connection, use_case)]


def trace_version(use_case: UseCase, record: VersionRecord) -> dict[str, Any]:
    """Return what a version was made from and what was made of it.

    Backwards: publications with their raw files, contract results and runs, and the source as it is declared now.
    Forwards: training sets, each with its models, their releases, how those are deployed, and how many predictions
    they gave.
    """
    with db.connect() as connection:
        used_by = _used_by(connection, record)
        ids = record.publication_ids or _of_training_set(connection, record, used_by)
        publications = _select(connection, _PUBLICATIONS, {"use_case": record.use_case, "ids": ids})
    datasets = sorted({row["dataset"] for row in publications})
    return {
        "version": {**vars(record), "name": str(record.name)},
        "made_from": {
            "sources": {name: _source(use_case, name) for name in datasets if name in use_case.datasets},
            "publications": publications,
        },
        "used_by": used_by,
    }


def _source(use_case: UseCase, dataset: str) -> Row:
    return use_case.dataset(dataset).source.model_dump(mode="json", exclude_none=True)


def _used_by(connection: psycopg.Connection[Any], record: VersionRecord) -> list[Row]:
    """Return the training sets that hold rows of a version, each with its models and their releases."""
    values: Row = {"use_case": record.use_case, "dataset": record.dataset, "ids": record.publication_ids}
    if record.training_set_hash is not None:
        found = _select(connection, _TRAINING_SETS, {**values, "hash": record.training_set_hash})
    else:
        found = _select(connection, _TRAINING_SETS_WITH, values)
    named = {"use_case": record.use_case, "hashes": [row["content_hash"] for row in found]}
    decisions, releases = _select(connection, _DECISIONS, named), _select(connection, _RELEASES, named)
    return [{**row, "models": _models(row["content_hash"], decisions, releases)} for row in found]


def _models(training_set_hash: str, decisions: list[Row], releases: list[Row]) -> list[Row]:
    models: dict[tuple[str, int], Row] = {}
    for row in [*decisions, *releases]:
        if row["training_set_hash"] == training_set_hash:
            model = {"name": row["model_name"], "version": row["model_version"], "mlflow_run_id": row["mlflow_run_id"]}
            models.setdefault((row["model_name"], row["model_version"]), {**model, "gate": None, "releases": []})
    for row in decisions:
        if row["training_set_hash"] == training_set_hash:
            model = models[row["model_name"], row["model_version"]]
            model["gate"] = {name: row[name] for name in ("passed", "run_id", "decided_at")}
    for row in releases:
        if row["training_set_hash"] == training_set_hash:
            left_out = ("training_set_hash", "model_name", "model_version", "mlflow_run_id")
            release = {name: value for name, value in row.items() if name not in left_out}
            models[row["model_name"], row["model_version"]]["releases"].append(release)
    return list(models.values())


def _of_training_set(connection: psycopg.Connection[Any], record: VersionRecord, sets: list[Row]) -> list[int]:
    """Return the publications that stood when a training set was made."""
    ids: set[int] = set()
    for row in sets[:1]:
        for dataset, newest in (row.get("publications") or {}).items():
            values = {"use_case": record.use_case, "dataset": dataset, "newest": newest, "as_of": row["as_of"]}
            ids |= {each["publication_id"] for each in _select(connection, _STOOD, values)}
    return sorted(ids)


def _select(connection: psycopg.Connection[Any], query: LiteralString, values: Row) -> list[Row]:
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query, values).fetchall()
