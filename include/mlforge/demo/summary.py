"""The table that the demonstration ends with."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from mlforge import db
from mlforge.db.ledger import champion
from mlforge.demo.callers import Answers
from mlforge.refs import Candidate, DriftReport
from mlforge.settings import Settings
from mlforge.spec import UseCase

_SCORES = {"AUC": "auc", "log loss": "log_loss", "Brier": "brier"}


@dataclass(frozen=True)
class Summary:
    """What the demonstration did.

    Attributes:
        live: Answers about the day whose outcomes are known by now.
        last: Answers of the newest release.
        seconds: How long it took, with the services up already.
    """

    settings: Settings
    use_case: UseCase
    candidate: Candidate
    report: DriftReport
    live: Answers
    last: Answers
    seconds: float


def show_summary(summary: Summary, console: Console) -> None:
    """Print what was loaded, trained, promoted, answered and measured, and where to look."""
    for table in (_loaded(summary), _trained(summary), _live(summary), _addresses(summary)):
        console.print()
        console.print(table)
    console.print(f"\nDone in {summary.seconds:.0f} s. The services stay up: `make status`, `make down`.")


def _loaded(summary: Summary) -> Table:
    table = Table(title="Loaded", title_justify="left")
    for column in ("dataset", "partitions", "rows in", "published", "quarantined", "duplicates"):
        table.add_column(column, justify="left" if column == "dataset" else "right")
    with db.connect() as connection:
        rows = connection.execute(
            "SELECT dataset, count(*), sum(rows_in), sum(rows_published), sum(rows_quarantined), sum(rows_duplicate)"
            " FROM (SELECT DISTINCT ON (dataset, partition_key) * FROM ledger.publications WHERE use_case = %s"
            " ORDER BY dataset, partition_key, version DESC) AS newest GROUP BY dataset ORDER BY dataset",
            [summary.use_case.name],
        ).fetchall()
    for dataset, *counts in rows:
        table.add_row(dataset, *(f"{count:,}" for count in counts))
    return table


def _trained(summary: Summary) -> Table:
    candidate = summary.candidate
    title = f"Trained: version {candidate.model_version}, as of {candidate.training_set.as_of:%Y-%m-%d %H:%M} UTC"
    table = Table(title=title, title_justify="left")
    table.add_column("model")
    for name in _SCORES:
        table.add_column(name, justify="right")
    table.add_row("candidate", *(f"{candidate.metrics[f'test_{key}']:.4f}" for key in _SCORES.values()))
    for baseline, scores in candidate.baselines.items():
        table.add_row(baseline.replace("_", " "), *(f"{scores[key]:.4f}" for key in _SCORES.values()))
    return table


def _live(summary: Summary) -> Table:
    release = champion(summary.use_case.name)
    answer = summary.last.answers[-1]
    asked = answer["request"]
    performance = summary.report.performance
    table = Table(title="Live", title_justify="left", show_header=False)
    if release is not None:
        table.add_row("champion", f"release {release.release_id}, model version {release.model_version}")
    table.add_row(
        "prediction",
        f"{asked['carrier']}{asked['flight']} {asked['origin']}→{asked['dest']} {asked['scheduled_departure']}: "
        f"{answer['label']}, probability {answer['probability']:.3f}",
    )
    table.add_row("receipt", f"{answer['receipt_id']}  (mlforge trace {answer['receipt_id']})")
    table.add_row("latency", f"median {summary.live.median_ms:.1f} ms, p99 {summary.live.p99_ms:.1f} ms, 8 callers")
    table.add_row(
        "against the outcomes",
        ", ".join(f"{name} {value:,.4g}" for name, value in performance.items()) or "none known yet",
    )
    drifted = ", ".join(summary.report.drifted) or "none"
    table.add_row("drifted columns", f"{len(summary.report.drifted)} of {len(summary.report.scores)}: {drifted}")
    table.add_row("drift report", summary.report.uri)
    return table


def _addresses(summary: Summary) -> Table:
    settings = summary.settings
    table = Table(title="Addresses", title_justify="left")
    for column in ("what", "URL", "user", "password or key"):
        table.add_column(column, overflow="fold")
    admin, mlflow = settings.secret("airflow_admin_password"), settings.secret("mlflow_password")
    table.add_row("Airflow", settings.airflow_url, "admin", admin)
    table.add_row("MLflow", settings.tracking_url, "mlforge", mlflow)
    address = f"{settings.gateway_url}/{summary.use_case.name}/predict"
    table.add_row("gateway", address, "header x-api-key", f"in {settings.secrets_dir / 'demo_api_key'}")
    return table
