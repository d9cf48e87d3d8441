"""A model version with all that is known of it, and two of them side by side."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg.rows import dict_row

from mlforge.db import connect, ledger
from mlforge.errors import MLForgeError, PromotionError
from mlforge.fingerprints import differences
from mlforge.models import load_model
from mlforge.refs import TrainingSet
from mlforge.registry.catalog import ModelVersion, find_version, list_versions
from mlforge.registry.versioning import Step, step_between
from mlforge.spec import UseCase
from mlforge.tracking import configure_tracking, tracking_errors


@dataclass(frozen=True)
class VersionDetails:
    """A model version with all that is known of it.

    Attributes:
        version: The same in short.
        releases: Rows of the ledger that carried it, oldest first: who, why, when.
        content_hash: SHA-256 of the model's content; empty before the gate has seen it.
        training_set: What it was trained on; None before the gate has seen it.
        window: First and last day of that, both included.
        metrics: Its scores at the gate, else those of its run.
        measured_on: First and last instant of the rows that the gate scored; None where the scores are the run's.
        checks: What the gate looked at, in its order.
        parameters: What it was trained with, as its MLflow run says; None while MLflow does not answer.
        fingerprints: What it was made from besides its rows.
        features: Columns that it takes; None when it does not load.
        notes: What could not be found out, and why.
    """

    version: ModelVersion
    releases: tuple[ledger.ReleaseRecord, ...]
    content_hash: str
    training_set: TrainingSet | None
    window: tuple[str, str] | None
    metrics: dict[str, float]
    measured_on: tuple[str, str] | None
    checks: tuple[dict[str, Any], ...]
    parameters: dict[str, str] | None
    fingerprints: dict[str, str]
    features: tuple[str, ...] | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class VersionComparison:
    """Two versions of a use case.

    Attributes:
        first: The one.
        second: The other.
        step: How far the second is from the first, as a semantic version counts it.
        fingerprints: Kind of input → (first, second), of those that differ.
        parameters: Parameter → (first, second), of those that differ; None is not set.
        only_first: Features that only the first takes.
        only_second: Features that only the second takes.
        gate: The newest decision in which one of them was the champion and the other asked; None if there is none.
    """

    first: VersionDetails
    second: VersionDetails
    step: Step
    fingerprints: dict[str, tuple[str, str]]
    parameters: dict[str, tuple[str | None, str | None]]
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]
    gate: dict[str, Any] | None


def describe_version(use_case: UseCase, name: str = "champion", *, at: datetime | None = None) -> VersionDetails:
    """Return what is known of a model version.

    Args:
        use_case: Whose.
        name: `7`, `1.2.0`, `r12` or `champion`.
        at: As it was at this instant, with its time zone; none for now.

    Raises:
        PromotionError: There is none of that name.
        ServiceUnavailableError: PostgreSQL does not answer.
    """
    return _details(use_case, find_version(list_versions(use_case, at=at), name, where=use_case.name), at)


def compare_versions(use_case: UseCase, first: str, second: str) -> VersionComparison:
    """Return two versions side by side.

    Args:
        use_case: Whose.
        first: `7`, `1.2.0`, `r12` or `champion`.
        second: The same.

    Raises:
        PromotionError: There is none of that name, or both are one.
        ServiceUnavailableError: PostgreSQL does not answer.
    """
    versions = list_versions(use_case)
    one, other = (find_version(versions, name, where=use_case.name) for name in (first, second))
    if one == other:
        raise PromotionError(f"{first} and {second} are one version", where=use_case.name, hint="name two versions")
    a, b = _details(use_case, one, None), _details(use_case, other, None)
    mine, theirs = a.parameters or {}, b.parameters or {}
    keys = sorted(mine.keys() | theirs.keys()) if a.parameters is not None and b.parameters is not None else []
    known = a.features is not None and b.features is not None
    return VersionComparison(
        first=a,
        second=b,
        step=step_between(a.fingerprints, b.fingerprints),
        fingerprints=differences(a.fingerprints, b.fingerprints),
        parameters={key: (mine.get(key), theirs.get(key)) for key in keys if mine.get(key) != theirs.get(key)},
        only_first=tuple(sorted(set(a.features or ()) - set(b.features or ()))) if known else (),
        only_second=tuple(sorted(set(b.features or ()) - set(a.features or ()))) if known else (),
        gate=_direct_decision(use_case, one, other),
    )


def _details(use_case: UseCase, version: ModelVersion, at: datetime | None) -> VersionDetails:
    notes: list[str] = []
    releases = [
        record
        for record in reversed(ledger.list_releases(use_case.name, limit=None, at=at))
        if record.release.release_id in version.releases
    ]
    evidence = _evidence(version.decision_id)
    candidate = evidence.get("candidate", {})
    parameters, run_metrics = _run(use_case, version, notes)
    training_set = TrainingSet.load(candidate["training_set"]) if candidate else None
    return VersionDetails(
        version=version,
        releases=tuple(releases),
        content_hash=str(candidate.get("content_hash", "")),
        training_set=training_set,
        window=_window(use_case, training_set, parameters or {}) if training_set else None,
        metrics=dict(evidence.get("metrics") or run_metrics),
        measured_on=tuple(evidence["window"]) if evidence.get("window") else None,
        checks=tuple(evidence.get("checks", ())),
        parameters=parameters,
        fingerprints=dict(candidate.get("fingerprints") or {}),
        features=_features(use_case, version, notes),
        notes=tuple(notes),
    )


def _window(use_case: UseCase, training_set: TrainingSet, parameters: dict[str, str]) -> tuple[str, str]:
    # The run says how it was then; use_case.yaml may say something else by now.
    noted = parameters.get("window_days", "")
    days = int(noted) if noted.isdigit() else use_case.training.window_days
    last = (training_set.as_of - timedelta(days=1)).date()
    return str(last - timedelta(days=days - 1)), str(last)


def _evidence(decision_id: int | None) -> dict[str, Any]:
    if decision_id is None:
        return {}
    with connect() as connection:
        row = connection.execute(
            "SELECT evidence FROM ledger.gate_decisions WHERE decision_id = %(id)s", {"id": decision_id}
        ).fetchone()
    return dict(row[0]) if row else {}


def _run(use_case: UseCase, version: ModelVersion, notes: list[str]) -> tuple[dict[str, str] | None, dict[str, float]]:
    configure_tracking()
    from mlflow import MlflowClient

    try:
        with tracking_errors("its MLflow run cannot be read", where=f"{use_case.name} version {version.number}"):
            run = MlflowClient().get_run(version.mlflow_run_id)
    except MLForgeError as error:
        notes.append(str(error))
        return None, {}
    return dict(sorted(run.data.params.items())), dict(sorted(run.data.metrics.items()))


def _features(use_case: UseCase, version: ModelVersion, notes: list[str]) -> tuple[str, ...] | None:
    try:
        return tuple(load_model(use_case, version.uri).feature_names)
    except MLForgeError as error:
        notes.append(str(error))
        return None


def _direct_decision(use_case: UseCase, one: ModelVersion, other: ModelVersion) -> dict[str, Any] | None:
    """Return the newest decision in which the releases of one were the champion that the other was compared with."""
    query = """
        SELECT decision_id, model_version, champion_release, passed, reasons, card_uri, decided_at,
               evidence -> 'comparison' AS comparison
        FROM ledger.gate_decisions
        WHERE use_case = %(use_case)s AND (
            (model_version = %(one)s AND champion_release = ANY(%(others)s))
            OR (model_version = %(other)s AND champion_release = ANY(%(ones)s)))
        ORDER BY decision_id DESC LIMIT 1
    """
    values = {
        "use_case": use_case.name,
        "one": one.number,
        "other": other.number,
        "ones": list(one.releases),
        "others": list(other.releases),
    }
    with connect() as connection, connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query, values).fetchone()
