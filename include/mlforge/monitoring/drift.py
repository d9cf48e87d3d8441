"""Drift: a partition's examples against those that the champion was trained on."""

from __future__ import annotations

import hashlib
import io
import json
import logging
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from mlforge import db, storage
from mlforge.db import ledger
from mlforge.drift import compared_columns
from mlforge.errors import MonitoringError
from mlforge.monitoring.comparison import Comparison, compare
from mlforge.monitoring.page import render_page
from mlforge.monitoring.performance import measure_performance
from mlforge.refs import DriftReport, Release, TrainingSet, code_version
from mlforge.spec import UseCase

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)

_FIND = """
SELECT uri FROM ledger.drift_reports
WHERE use_case = %(use_case)s AND partition_key = %(partition_key)s AND report_hash = %(report_hash)s
"""

_INSERT = """
INSERT INTO ledger.drift_reports (use_case, partition_key, release_id, reference_hash, current_hash, rows, scores,
    findings, drifted, performance, report_hash, uri, detail_uri, run_id)
VALUES (%(use_case)s, %(partition_key)s, %(release_id)s, %(reference_hash)s, %(current_hash)s, %(rows)s, %(scores)s,
    %(findings)s, %(drifted)s, %(performance)s, %(report_hash)s, %(uri)s, %(detail_uri)s, %(run_id)s)
"""


def measure_drift(use_case: UseCase, current: TrainingSet, *, run_id: str | None = None) -> DriftReport:
    """Compare examples with the champion's training set, score the window's receipts, and store the report.

    The page and its figures as JSON go to the storage below `reports/<use_case>/<partition key>/`, one row to the
    ledger. The same figures for the same partition again give the report that is there.

    Args:
        use_case: Whose examples.
        current: Examples of one partition, or of the days that are compared together.
        run_id: The run that asks, for the ledger.

    Raises:
        MonitoringError: There is no champion, too few rows, or a configured column that the training set lacks.
    """
    champion = ledger.champion(use_case.name)
    if champion is None:
        raise MonitoringError(
            "there is no champion, so nothing to compare with",
            where=use_case.name,
            hint="train and promote a model first: trigger the chain `training`",
        )
    reference = ledger.release_training_set(champion.release_id)
    before, after = _read(reference), _read(current)
    columns = compared_columns(use_case, before.schema)
    threshold = use_case.monitors.psi_threshold
    try:
        comparison = compare(before, after, columns, threshold)
    except MonitoringError as error:
        where = f"{use_case.name}, partition {current.partition_key}"
        raise MonitoringError(error.what, where=where, evidence=error.evidence, hint=error.hint) from error
    content: dict[str, Any] = {
        "use_case": use_case.name,
        "partition_key": current.partition_key,
        "release_id": champion.release_id,
        "reference_hash": reference.content_hash,
        "current_hash": current.content_hash,
        "rows": after.num_rows,
        "scores": comparison.scores,
        "findings": comparison.findings,
        "drifted": list(comparison.drifted),
        "performance": measure_performance(use_case, use_case.partitions(current.partition_key)),
    }
    report_hash = hashlib.sha256(json.dumps([content, threshold], sort_keys=True).encode()).hexdigest()
    uri = _store(use_case, content, report_hash, comparison, champion, run_id)
    log.info(
        "%s %s: %d of %d columns drifted", use_case.name, current.partition_key, len(comparison.drifted), len(columns)
    )
    return DriftReport(
        use_case=use_case.name,
        partition_key=current.partition_key,
        uri=uri,
        rows=after.num_rows,
        content_hash=report_hash,
        code_version=code_version(use_case.folder),
        drifted=comparison.drifted,
        scores=comparison.scores,
        performance=content["performance"],
        findings=comparison.findings,
    )


def _read(examples: TrainingSet) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    # A content-addressed file is named by its hash.
    stem = PurePosixPath(examples.uri).stem
    content = storage.read_bytes(examples.uri, content_hash=stem if len(stem) == 64 else None)
    try:
        return pq.read_table(io.BytesIO(content))
    except pa.ArrowInvalid as error:
        raise MonitoringError(
            f"{examples.uri} is no Parquet file: {error}", where=examples.use_case, hint="assemble the examples again"
        ) from error


def _store(
    use_case: UseCase,
    content: dict[str, Any],
    report_hash: str,
    comparison: Comparison,
    champion: Release,
    run_id: str | None,
) -> str:
    """Write page, figures and ledger row unless they are there, and return the page's URI."""
    from psycopg.types.json import Jsonb

    key = str(content["partition_key"])
    with db.connect() as connection:
        db.lock_partition(connection, use_case.name, "drift", key)
        found = connection.execute(_FIND, {**content, "report_hash": report_hash}).fetchone()
        if found:
            return str(found[0])
        title = f"Drift of {use_case.name}, {key}"
        page = render_page(
            comparison.html, title=title, facts=_facts(use_case, content, champion), findings=comparison.findings
        )
        folder = f"reports/{use_case.name}/{key}"
        uri, _ = storage.put_bytes(folder, page.encode(), ".html")
        figures = {**content, "threshold": use_case.monitors.psi_threshold, "report_hash": report_hash, "page": uri}
        detail_uri, _ = storage.put_bytes(folder, json.dumps(figures, indent=2, sort_keys=True).encode(), ".json")
        values = {name: Jsonb(value) if isinstance(value, dict) else value for name, value in content.items()}
        connection.execute(
            _INSERT, {**values, "report_hash": report_hash, "uri": uri, "detail_uri": detail_uri, "run_id": run_id}
        )
    return uri


def _facts(use_case: UseCase, content: dict[str, Any], champion: Release) -> dict[str, str]:
    performance = ", ".join(f"{name} {value:g}" for name, value in content["performance"].items())
    return {
        "Compared with": f"the training set of release {champion.release_id}, {champion.partition_key}",
        "Examples": f"{content['rows']:,}",
        "Drifted": f"{len(content['drifted'])} columns: {', '.join(content['drifted']) or 'none'}",
        "Threshold": f"PSI {use_case.monitors.psi_threshold:g}",
        "Receipts": performance,
    }
