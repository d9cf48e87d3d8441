"""What the stages from the source to the training set read and write."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from mlforge.lineage import facets, names
from mlforge.lineage.build import feature_view, published, training_set, warehouse_tables
from mlforge.lineage.graph import Table
from mlforge.lineage.kept import traced_query
from mlforge.lineage.names import DatasetName
from mlforge.lineage.reading import contract_results, file_size, parquet_facts, table_columns
from mlforge.lineage.transformations import Input
from mlforge.lineage.work import StageLineage, Work
from mlforge.refs import (
    CheckedPartition,
    FeaturePartition,
    PublishedPartition,
    RawPartition,
    TrainingSet,
)

if TYPE_CHECKING:
    from mlforge.spec import UseCase


def _raw_folder(uri: str) -> DatasetName:
    """`…/raw/<use case>/<dataset>` of `…/<partition>/<hash>.parquet`."""
    return names.uri_name(uri, up=2)


def describe_extract(work: Work, lineage: StageLineage) -> None:
    """Add the source and the raw file that landed."""
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


def describe_check(work: Work, lineage: StageLineage) -> None:
    """Add the raw file with what the contract found."""
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


def describe_publish(work: Work, lineage: StageLineage) -> None:
    """Add the raw file and the warehouse table, column by column."""
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


def describe_build_features(work: Work, lineage: StageLineage) -> None:
    """Add the warehouse tables and the feature tables, column by column."""
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


def describe_materialize(work: Work, lineage: StageLineage) -> None:
    """Add the feature tables and the views online."""
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


def describe_assemble(work: Work, lineage: StageLineage) -> None:
    """Add what a training set is joined from, column by column."""
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


def describe_create_version(work: Work, lineage: StageLineage) -> None:
    """Add what the version was made of, and the series that it belongs to."""
    if work.result is None:
        return
    series, _, version = work.result.uri.removeprefix("dataset-version:").rpartition("/")
    dataset = series.partition("/")[2]
    if dataset in work.use_case.datasets:
        lineage.read(names.warehouse_name(work.use_case, dataset))
    else:
        lineage.read(names.training_sets_name(work.use_case))
    size = facets.written(work.result.rows)
    lineage.write(names.version_name(series), facets.version(version), size)
