"""What a stage reads and writes: datasets with their facets, made from the refs that pass between stages.

A dataset is named by what lasts (a table, a folder of partitions, a model); the partition is its version. Staging is
left out: it lives between two tasks only, so publishing reads the raw file and writes the warehouse.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from mlforge.lineage import facets, names
from mlforge.lineage.build import feature_view, published, training_set, warehouse_tables
from mlforge.lineage.graph import TRAINING_SET, Table
from mlforge.lineage.kept import traced_query
from mlforge.lineage.names import DatasetName
from mlforge.lineage.reading import contract_results, file_size, parquet_facts, table_columns
from mlforge.lineage.transformations import Input
from mlforge.refs import (
    Candidate,
    CheckedPartition,
    Deployment,
    DriftReport,
    FeaturePartition,
    GateDecision,
    PartitionRange,
    PublishedPartition,
    RawPartition,
    Ref,
    Release,
    TrainingSet,
    code_version,
)

if TYPE_CHECKING:
    from openlineage.client.event_v2 import InputDataset, OutputDataset
    from openlineage.client.facet_v2 import JobFacet, RunFacet

    from mlforge.spec import UseCase


@dataclass(frozen=True)
class Work:
    """A stage at one moment of its task.

    Attributes:
        stage: Its name in `mlforge.stages.STAGES`.
        use_case: The use case.
        days: Its partitions, once they are known.
        given: The ref that it takes.
        result: The ref that it returned; none before its end, and for a stage that returns none.
        done: Whether it has come to its end.
        failed: Whether that end was an error.
    """

    stage: str
    use_case: UseCase
    days: PartitionRange | None = None
    given: Ref | None = None
    result: Ref | None = None
    done: bool = False
    failed: bool = False


@dataclass
class StageLineage:
    """What is told about a stage's run."""

    inputs: list[InputDataset] = field(default_factory=list)
    outputs: list[OutputDataset] = field(default_factory=list)
    job_facets: dict[str, JobFacet] = field(default_factory=dict)
    run_facets: dict[str, RunFacet] = field(default_factory=dict)

    def read(
        self, name: DatasetName, about: Mapping[str, Any] | None = None, quality: Mapping[str, Any] | None = None
    ) -> None:
        """Add an input with its facets."""
        from openlineage.client.event_v2 import InputDataset

        facets_of = {**facets.source(name), **(about or {})}
        self.inputs.append(InputDataset(name.namespace, name.name, facets=facets_of, inputFacets=dict(quality or {})))

    def write(
        self, name: DatasetName, about: Mapping[str, Any] | None = None, statistics: Mapping[str, Any] | None = None
    ) -> None:
        """Add an output with its facets."""
        from openlineage.client.event_v2 import OutputDataset

        facets_of = {**facets.source(name), **(about or {})}
        self.outputs.append(
            OutputDataset(name.namespace, name.name, facets=facets_of, outputFacets=dict(statistics or {}))
        )


def describe_stage(work: Work) -> StageLineage:
    """Return what a stage reads and writes; before its end only what is known without looking anything up."""
    lineage = StageLineage()
    lineage.job_facets |= facets.job_ownership(work.use_case.owner) | facets.code_location(work.use_case)
    text = _sql(work)
    if text:
        lineage.job_facets |= facets.sql_job(text)
    if work.days is not None:
        code = code_version(work.use_case.folder)
        lineage.run_facets |= facets.partition_run(work.use_case.name, work.days, code)
    describe = _DESCRIBE.get(work.stage)
    if describe is not None:
        describe(work, lineage)
    return lineage


def _sql(work: Work) -> str:
    use_case = work.use_case
    if work.stage == "build-features":
        texts = [(f"features/{view}.sql", use_case.sql(f"features/{view}.sql")) for view in use_case.features]
        return "\n\n".join(f"-- {path}\n{text.strip()}" for path, text in texts)
    if work.stage in ("assemble", "assemble-partition"):
        return use_case.sql(use_case.training.spine).strip()
    return ""


def _raw_folder(uri: str) -> DatasetName:
    """`…/raw/<use case>/<dataset>` of `…/<partition>/<hash>.parquet`."""
    return names.uri_name(uri, up=2)


def _extract(work: Work, lineage: StageLineage) -> None:
    if not isinstance(work.result, RawPartition):
        return
    raw = work.result
    contract = work.use_case.contract(raw.dataset)
    origin, folder = names.uri_name(raw.source_uri), _raw_folder(raw.uri)
    copied = Table("raw", "raw", {name: (Input("source", name),) for name in contract.column_names})
    lineage.read(origin)
    lineage.write(
        folder,
        facets.schema(facets.contract_fields(contract))
        | facets.version(raw.content_hash)
        | facets.column_lineage(copied, {"source": origin}),
        facets.written(raw.rows, file_size(raw.uri)),
    )


def _check(work: Work, lineage: StageLineage) -> None:
    if not isinstance(work.given, RawPartition):
        return
    raw, contract = work.given, work.use_case.contract(work.given.dataset)
    about = facets.schema(facets.contract_fields(contract)) | facets.version(raw.content_hash)
    quality: dict[str, Any] = {}
    if work.done:
        nulls, size = parquet_facts(raw.uri)
        attempt = work.result.attempt if isinstance(work.result, CheckedPartition) else None
        quality |= facets.quality_metrics(raw.rows, nulls, size)
        found = contract_results(work.use_case, raw, attempt)
        if found:
            quality |= facets.assertions(found, contract)
    lineage.read(_raw_folder(raw.uri), about, quality)


def _publish(work: Work, lineage: StageLineage) -> None:
    if not isinstance(work.given, CheckedPartition):
        return
    checked = work.given
    folder = _raw_folder(checked.raw_uri)
    lineage.read(folder, facets.version(checked.raw_hash))
    result = work.result
    if not isinstance(result, PublishedPartition):
        return
    use_case, dataset = work.use_case, result.dataset
    contract = use_case.contract(dataset)
    fields = facets.contract_fields(contract)
    fields += [(name, kind, text) for name, (kind, text) in _TIMES.items()]
    lineage.write(
        names.warehouse_name(use_case, dataset),
        facets.schema(fields)
        | facets.version(result.content_hash)
        | facets.documentation(contract.description)
        | facets.ownership(use_case.owner)
        | facets.symlinks((names.asset_name(use_case.name, f"published/{dataset}"), "ASSET"))
        | facets.column_lineage(published(use_case, dataset), {f"source.{dataset}": folder}),
        facets.written(result.rows),
    )
    if result.rows_quarantined:
        lineage.write(names.table_name("quarantine", "rows"), statistics=facets.written(result.rows_quarantined))


_TIMES = {
    "partition_key": ("text", "The partition: its first UTC day, or static"),
    "event_timestamp": ("timestamptz", "When it happened"),
    "known_at": ("timestamptz", "From when on the row may be used"),
}


def _warehouse_names(use_case: UseCase) -> dict[str, DatasetName]:
    return {f"warehouse.{dataset}": names.warehouse_name(use_case, dataset) for dataset in use_case.datasets}


def _feature_names(use_case: UseCase) -> dict[str, DatasetName]:
    return {f"features.{view}": names.feature_table_name(use_case, view) for view in use_case.features}


def _read_tables(lineage: StageLineage, read: Iterable[str], known: Mapping[str, DatasetName]) -> None:
    for table in dict.fromkeys(read):
        if table in known:
            lineage.read(known[table])


def _build_features(work: Work, lineage: StageLineage) -> None:
    use_case, result = work.use_case, work.result
    if not isinstance(result, FeaturePartition):
        return
    known = _warehouse_names(use_case) | _feature_names(use_case)
    types = table_columns("features", [use_case.view_table(view) for view in result.views])
    read: list[str] = []
    for view, rows in result.views.items():
        table = feature_view(use_case, view)
        read += [item.table for inputs in (*table.columns.values(), table.rows) for item in inputs]
        fields = types.get(use_case.view_table(view)) or [(column, "", "") for column in table.columns]
        lineage.write(
            names.feature_table_name(use_case, view),
            facets.schema(fields)
            | facets.version(result.content_hash)
            | facets.ownership(use_case.owner)
            | facets.symlinks((names.feast_source_name(use_case, view), "FEAST_DATA_SOURCE"))
            | facets.column_lineage(table, known),
            facets.written(rows),
        )
    _read_tables(lineage, read, known)


def _materialize(work: Work, lineage: StageLineage) -> None:
    if not isinstance(work.given, FeaturePartition):
        return
    use_case = work.use_case
    for view in work.given.views:
        offline = names.feature_table_name(use_case, view)
        lineage.read(offline)
        if work.done and not work.failed:
            columns = [column for column in feature_view(use_case, view).columns if column != "partition_key"]
            same = Table(view, "online", {column: (Input("offline", column),) for column in columns})
            about = facets.version(work.given.content_hash) | facets.column_lineage(same, {"offline": offline})
            lineage.write(names.feature_view_name(view), about)


def _assemble(work: Work, lineage: StageLineage) -> None:
    use_case, examples = work.use_case, work.result
    if not isinstance(examples, TrainingSet):
        return
    views = {f"features.{view}": feature_view(use_case, view) for view in use_case.features}
    table = training_set(use_case, views)
    known = _warehouse_names(use_case) | _feature_names(use_case)
    spine = traced_query(use_case.sql(use_case.training.spine), warehouse_tables(use_case))
    tables = {f"warehouse.{use_case.table(dataset)}": f"warehouse.{dataset}" for dataset in use_case.datasets}
    _read_tables(lineage, [*(tables.get(name, name) for name in spine.tables), *views], known)
    lineage.write(
        names.uri_name(examples.uri, up=1),
        facets.schema(_parquet_fields(examples, table))
        | facets.version(examples.content_hash)
        | facets.documentation(f"Examples of {use_case.title}, as of {examples.as_of:%Y-%m-%d %H:%M} UTC")
        | facets.column_lineage(table, known),
        facets.written(examples.rows, file_size(examples.uri)),
    )


def _parquet_fields(examples: TrainingSet, table: Table) -> list[facets.SchemaField]:
    from mlforge.lineage.reading import parquet_columns

    return parquet_columns(examples.uri) or [(column, "", "") for column in table.columns]


def _train(work: Work, lineage: StageLineage) -> None:
    if isinstance(work.given, TrainingSet):
        lineage.read(names.uri_name(work.given.uri, up=1), facets.version(work.given.content_hash))
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


def _evaluate(work: Work, lineage: StageLineage) -> None:
    if isinstance(work.given, Candidate):
        lineage.read(names.model_name(work.given.model_name), _model_facets(work.given.model_version))
        examples = work.given.training_set
        lineage.read(names.uri_name(examples.uri, up=1), facets.version(examples.content_hash))


def _gate(work: Work, lineage: StageLineage) -> None:
    _evaluate(work, lineage)
    if isinstance(work.result, GateDecision):
        lineage.write(names.uri_name(work.result.uri, up=1), facets.version(work.result.content_hash))


def _promote(work: Work, lineage: StageLineage) -> None:
    if isinstance(work.given, GateDecision):
        candidate = work.given.candidate
        lineage.read(names.model_name(candidate.model_name), _model_facets(candidate.model_version))
        lineage.read(names.uri_name(work.given.uri, up=1), facets.version(work.given.content_hash))
    if isinstance(work.result, Release):
        lineage.write(names.asset_name(work.use_case.name, "champion"), _release_facets(work.result))


def _release_facets(release: Release) -> dict[str, Any]:
    return cast("dict[str, Any]", facets.version(str(release.release_id)))


def _package(work: Work, lineage: StageLineage) -> None:
    if isinstance(work.result, Release):
        release = work.result
        lineage.read(names.asset_name(work.use_case.name, "champion"), _release_facets(release))
        lineage.read(names.model_name(release.model_name), _model_facets(release.model_version))
        lineage.write(names.bento_name(release.bento), facets.version(release.bento.partition(":")[2] or release.bento))


def _verify(work: Work, lineage: StageLineage) -> None:
    if isinstance(work.given, Release):
        release = work.given
        lineage.read(names.bento_name(release.bento), facets.version(release.bento.partition(":")[2] or release.bento))


def _roll_out(work: Work, lineage: StageLineage) -> None:
    _verify(work, lineage)
    if isinstance(work.result, Deployment):
        lineage.write(
            names.uri_name(work.result.uri),
            facets.version(str(work.result.release_id))
            | facets.symlinks((names.asset_name(work.use_case.name, "deployment"), "ASSET")),
        )


def _join_outcomes(work: Work, lineage: StageLineage) -> None:
    lineage.read(names.table_name("ledger", "predictions"))
    if work.done:
        spine = traced_query(work.use_case.sql(work.use_case.training.spine), warehouse_tables(work.use_case))
        for table in spine.tables:
            place, _, name = table.rpartition(".")
            lineage.read(names.table_name(place, name))
    lineage.write(names.table_name("ledger", "outcomes"))


def _drift(work: Work, lineage: StageLineage) -> None:
    if isinstance(work.given, TrainingSet):
        lineage.read(names.uri_name(work.given.uri, up=1), facets.version(work.given.content_hash))
    lineage.read(names.table_name("ledger", "predictions"))
    lineage.read(names.table_name("ledger", "outcomes"))
    if isinstance(work.result, DriftReport):
        lineage.write(names.uri_name(work.result.uri, up=2), facets.version(work.result.content_hash))


def _alert(work: Work, lineage: StageLineage) -> None:
    if isinstance(work.given, DriftReport):
        lineage.read(names.uri_name(work.given.uri, up=2), facets.version(work.given.content_hash))
    lineage.write(names.table_name("ledger", "alerts"))


_DESCRIBE: dict[str, Callable[[Work, StageLineage], None]] = {
    "extract": _extract,
    "check": _check,
    "publish": _publish,
    "build-features": _build_features,
    "materialize": _materialize,
    "assemble": _assemble,
    "assemble-partition": _assemble,
    "train": _train,
    "evaluate": _evaluate,
    "gate": _gate,
    "promote": _promote,
    "package": _package,
    "verify": _verify,
    "roll-out": _roll_out,
    "join-outcomes": _join_outcomes,
    "drift": _drift,
    "alert": _alert,
}
