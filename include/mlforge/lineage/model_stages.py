"""What the stages from the training set to the report read and write."""

from __future__ import annotations

from typing import Any, cast

from mlforge.lineage import facets, names
from mlforge.lineage.build import feature_view, training_set, warehouse_tables
from mlforge.lineage.graph import TRAINING_SET
from mlforge.lineage.kept import traced_query
from mlforge.lineage.work import StageLineage, Work
from mlforge.refs import (
    Candidate,
    Deployment,
    DriftReport,
    GateDecision,
    PlannedSearch,
    Release,
    TrainingSet,
    Tuning,
)


def describe_train(work: Work, lineage: StageLineage) -> None:
    """Add the training set and the model; of the stages of a search, the training set."""
    given = work.given.training_set if isinstance(work.given, PlannedSearch | Tuning) else work.given
    if isinstance(given, TrainingSet):
        lineage.read(names.uri_name(given.uri, up=1), facets.version(given.content_hash))
    if isinstance(work.result, Candidate):
        _write_model(work, lineage, work.result)


def _write_model(work: Work, lineage: StageLineage, candidate: Candidate) -> None:
    from mlforge.lineage.build import model

    views = {f"features.{view}": feature_view(work.use_case, view) for view in work.use_case.features}
    takes = model(work.use_case, training_set(work.use_case, views))
    lineage.write(
        names.model_name(candidate.model_name),
        facets.version(str(candidate.model_version))
        | facets.documentation(work.use_case.title)
        | facets.ownership(work.use_case.owner)
        | facets.schema([(column, "", "") for column in takes.columns])
        | facets.column_lineage(takes, {TRAINING_SET: names.uri_name(candidate.training_set.uri, up=1)}),
    )


def _model_facets(version: int) -> dict[str, Any]:
    return cast("dict[str, Any]", facets.version(str(version)))


def describe_evaluate(work: Work, lineage: StageLineage) -> None:
    """Add the training set and the model with its scores."""
    if isinstance(work.given, Candidate):
        lineage.read(names.model_name(work.given.model_name), _model_facets(work.given.model_version))
        examples = work.given.training_set
        lineage.read(names.uri_name(examples.uri, up=1), facets.version(examples.content_hash))


def describe_gate(work: Work, lineage: StageLineage) -> None:
    """Add the model that is judged."""
    describe_evaluate(work, lineage)
    if isinstance(work.result, GateDecision):
        lineage.write(names.uri_name(work.result.uri, up=1), facets.version(work.result.content_hash))


def describe_promote(work: Work, lineage: StageLineage) -> None:
    """Add the model and the release."""
    if isinstance(work.given, GateDecision):
        candidate = work.given.candidate
        lineage.read(names.model_name(candidate.model_name), _model_facets(candidate.model_version))
        lineage.read(names.uri_name(work.given.uri, up=1), facets.version(work.given.content_hash))
    if isinstance(work.result, Release):
        lineage.write(names.asset_name(work.use_case.name, "champion"), _release_facets(work.result))


def _release_facets(release: Release) -> dict[str, Any]:
    return cast("dict[str, Any]", facets.version(str(release.release_id)))


def describe_package(work: Work, lineage: StageLineage) -> None:
    """Add the model and the bento."""
    if isinstance(work.result, Release):
        release = work.result
        lineage.read(names.asset_name(work.use_case.name, "champion"), _release_facets(release))
        lineage.read(names.model_name(release.model_name), _model_facets(release.model_version))
        lineage.write(names.bento_name(release.bento), facets.version(release.bento.partition(":")[2] or release.bento))


def describe_verify(work: Work, lineage: StageLineage) -> None:
    """Add the release that is verified."""
    if isinstance(work.given, Release):
        release = work.given
        lineage.read(names.bento_name(release.bento), facets.version(release.bento.partition(":")[2] or release.bento))


def describe_roll_out(work: Work, lineage: StageLineage) -> None:
    """Add the release and the endpoint."""
    describe_verify(work, lineage)
    if isinstance(work.result, Deployment):
        lineage.write(
            names.uri_name(work.result.uri),
            facets.version(str(work.result.release_id))
            | facets.symlinks((names.asset_name(work.use_case.name, "deployment"), "ASSET")),
        )


def describe_join_outcomes(work: Work, lineage: StageLineage) -> None:
    """Add the predictions and their outcomes."""
    lineage.read(names.table_name("ledger", "predictions"))
    if work.done:
        spine = traced_query(work.use_case.sql(work.use_case.training.spine), warehouse_tables(work.use_case))
        for table in spine.tables:
            place, _, name = table.rpartition(".")
            lineage.read(names.table_name(place, name))
    lineage.write(names.table_name("ledger", "outcomes"))


def describe_drift(work: Work, lineage: StageLineage) -> None:
    """Add the examples and the report."""
    if isinstance(work.given, TrainingSet):
        lineage.read(names.uri_name(work.given.uri, up=1), facets.version(work.given.content_hash))
    lineage.read(names.table_name("ledger", "predictions"))
    lineage.read(names.table_name("ledger", "outcomes"))
    if isinstance(work.result, DriftReport):
        lineage.write(names.uri_name(work.result.uri, up=2), facets.version(work.result.content_hash))


def describe_alert(work: Work, lineage: StageLineage) -> None:
    """Add the report and the alerts."""
    if isinstance(work.given, DriftReport):
        lineage.read(names.uri_name(work.given.uri, up=2), facets.version(work.given.content_hash))
    lineage.write(names.table_name("ledger", "alerts"))
