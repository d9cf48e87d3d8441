"""Facets: what is told about a dataset, a job or a run beside its name. The classes are OpenLineage's own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from mlforge.lineage.graph import Table
from mlforge.lineage.names import DatasetName
from mlforge.lineage.transformations import Input

if TYPE_CHECKING:
    from openlineage.client.facet_v2 import DatasetFacet, InputDatasetFacet, JobFacet, OutputDatasetFacet, RunFacet

    from mlforge.refs import PartitionRange
    from mlforge.spec import Contract, UseCase

# name of the column, its type, its description
SchemaField = tuple[str, str, str]


def schema(fields: Iterable[SchemaField]) -> dict[str, DatasetFacet]:
    """Return the columns of a dataset."""
    from openlineage.client.facet_v2 import schema_dataset as module

    described = [
        module.SchemaDatasetFacetFields(name=name, type=kind or None, description=text or None)
        for name, kind, text in fields
    ]
    return {"schema": module.SchemaDatasetFacet(fields=described)}


def contract_fields(contract: Contract) -> list[SchemaField]:
    """Return the columns of a contract."""
    return [(column.name, column.sql_type, column.description) for column in contract.columns]


def source(name: DatasetName) -> dict[str, DatasetFacet]:
    """Return where a dataset lies."""
    from openlineage.client.facet_v2 import datasource_dataset as module

    return {"dataSource": module.DatasourceDatasetFacet(name=name.namespace, uri=name.namespace)}


def version(text: str) -> dict[str, DatasetFacet]:
    """Return which version of a dataset was read or written: a content hash, or a number."""
    from openlineage.client.facet_v2 import dataset_version_dataset as module

    return {"version": module.DatasetVersionDatasetFacet(datasetVersion=text)}


def documentation(text: str) -> dict[str, DatasetFacet]:
    """Return what a dataset is, in words; nothing if there are none."""
    from openlineage.client.facet_v2 import documentation_dataset as module

    return {"documentation": module.DocumentationDatasetFacet(description=text)} if text else {}


def ownership(owner: str) -> dict[str, DatasetFacet]:
    """Return who answers for a dataset."""
    from openlineage.client.facet_v2 import ownership_dataset as module

    return {"ownership": module.OwnershipDatasetFacet(owners=[module.Owner(name=owner, type="team")])}


def symlinks(*others: tuple[DatasetName, str]) -> dict[str, DatasetFacet]:
    """Return the other names of a dataset, each with its kind."""
    from openlineage.client.facet_v2 import symlinks_dataset as module

    names = [module.Identifier(namespace=other.namespace, name=other.name, type=kind) for other, kind in others]
    return {"symlinks": module.SymlinksDatasetFacet(identifiers=names)}


def column_lineage(table: Table, names: Mapping[str, DatasetName]) -> dict[str, DatasetFacet]:
    """Return which columns the columns of a dataset come from, and which decide about its rows.

    Args:
        table: The dataset in the lineage graph.
        names: The names of the tables that it reads; columns of others are left out.
    """
    from openlineage.client.facet_v2 import column_lineage_dataset as module

    def fields(inputs: Sequence[Input]) -> list[module.InputField]:
        ways: dict[tuple[str, str], list[module.Transformation]] = {}
        for item in inputs:
            if item.table in names:
                way = module.Transformation(type=item.kind, subtype=item.subtype, masking=False)
                ways.setdefault(item.address, []).append(way)
        return [
            module.InputField(
                namespace=names[place].namespace, name=names[place].name, field=column, transformations=transformations
            )
            for (place, column), transformations in ways.items()
        ]

    traced = {column: module.Fields(inputFields=fields(inputs)) for column, inputs in table.columns.items()}
    traced = {column: found for column, found in traced.items() if found.inputFields}
    return {"columnLineage": module.ColumnLineageDatasetFacet(fields=traced, dataset=fields(table.rows))}


def written(rows: int | None, size: int | None = None) -> dict[str, OutputDatasetFacet]:
    """Return how much was written: rows, and bytes where they are known."""
    from openlineage.client.facet_v2 import output_statistics_output_dataset as module

    return {"outputStatistics": module.OutputStatisticsOutputDatasetFacet(rowCount=rows, size=size)}


def quality_metrics(rows: int, nulls: Mapping[str, int], size: int | None = None) -> dict[str, InputDatasetFacet]:
    """Return how many rows and how many nulls per column were read."""
    from openlineage.client.facet_v2 import data_quality_metrics_input_dataset as module

    columns = {name: module.ColumnMetrics(nullCount=count, count=rows - count) for name, count in nulls.items()}
    return {
        "dataQualityMetrics": module.DataQualityMetricsInputDatasetFacet(
            rowCount=rows, bytes=size, columnMetrics=columns
        )
    }


def assertions(results: Sequence[Mapping[str, Any]], contract: Contract) -> dict[str, InputDatasetFacet]:
    """Return what each rule of a contract found.

    Args:
        results: Rows of `ledger.contract_results`: rule, severity, passed, rows_checked, rows_failed.
        contract: Whose rules; it tells which column each one speaks of.
    """
    from openlineage.client.facet_v2 import data_quality_assertions_dataset as module

    known = _rules(contract)
    found = [
        module.Assertion(
            assertion=_kind(str(result["rule"]), contract),
            success=bool(result["passed"]),
            column=known.get(str(result["rule"]), ("", ""))[0] or _column(str(result["rule"]), contract),
            severity="error" if result["severity"] == "error" else "warn",
            name=str(result["rule"]),
            description=known.get(str(result["rule"]), ("", ""))[1] or None,
            actual=_observed(result),
        )
        for result in results
    ]
    return {"dataQualityAssertions": module.DataQualityAssertionsDatasetFacet(assertions=found)}


def _observed(result: Mapping[str, Any]) -> str | None:
    """Return how many rows break a rule; a rule on a whole partition that is broken counts none."""
    if not result["passed"] and not result["rows_failed"]:
        return None
    return f"{result['rows_failed']} of {result['rows_checked']} rows break it"


def _rules(contract: Contract) -> dict[str, tuple[str, str]]:
    """Return the named quality rules of a contract: the one column that each speaks of, and its description."""
    found: dict[str, tuple[str, str]] = {}
    for column in contract.columns:
        for rule in column.quality:
            found[str(rule.get("name"))] = (column.name, str(rule.get("description") or ""))
    for rule in contract.quality:
        named = (rule.get("arguments") or {}).get("properties") or []
        alone = str(named[0]) if len(named) == 1 else ""
        found[str(rule.get("name"))] = (alone, str(rule.get("description") or ""))
    return found


def _column(rule: str, contract: Contract) -> str | None:
    """Return the column of a rule that is named `column.kind`."""
    column = rule.partition(".")[0]
    return column if column in [*contract.column_names, "event_timestamp", "known_at"] else None


def _kind(rule: str, contract: Contract) -> str:
    kind = rule.partition(".")[2] if _column(rule, contract) else rule
    return {"required": "not_null", "key": "unique"}.get(kind, kind)


def sql_job(text: str) -> dict[str, JobFacet]:
    """Return the SQL that a job runs."""
    from openlineage.client.facet_v2 import sql_job as module

    return {"sql": module.SQLJobFacet(query=text, dialect="postgres")}


def job_ownership(owner: str) -> dict[str, JobFacet]:
    """Return who answers for a job."""
    from openlineage.client.facet_v2 import ownership_job as module

    return {"ownership": module.OwnershipJobFacet(owners=[module.Owner(name=owner, type="team")])}


def code_location(use_case: UseCase) -> dict[str, JobFacet]:
    """Return where the use case's code is kept and at which commit; nothing if git does not know."""
    from openlineage.client import git
    from openlineage.client.facet_v2 import source_code_location_job as module

    from mlforge.settings import get_settings

    root = get_settings().root
    directory = git._find_git_dir(str(root))
    if directory is None:
        return {}
    address, commit = git.get_git_repo_url(git_dir=directory), git.get_git_version(directory)
    if not address or not commit:
        return {}
    address = _without_credentials(address)
    inside = use_case.folder.resolve()
    path = str(inside.relative_to(root.resolve())) if inside.is_relative_to(root.resolve()) else ""
    return {
        "sourceCodeLocation": module.SourceCodeLocationJobFacet(
            type="git",
            url=f"{address.removesuffix('.git')}/tree/{commit}/{path}",
            repoUrl=address,
            path=path,
            version=commit,
            branch=git.get_git_branch(directory),
        )
    }


def _without_credentials(address: str) -> str:
    if "://" not in address:
        return address
    parts = urlsplit(address)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def partition_run(use_case: str, days: PartitionRange, code: str) -> dict[str, RunFacet]:
    """Return which partitions a run is for; Airflow's partitioned runs have no data interval to tell it."""
    from openlineage.client.facet_v2 import nominal_time_run

    from mlforge.lineage.partition_facet import PartitionRunFacet

    facet = PartitionRunFacet(
        useCase=use_case,
        partitionKey=days.key,
        firstPartition=str(days.first),
        lastPartition=str(days.last),
        partitions=len(days),
        codeVersion=code,
    )
    times = nominal_time_run.NominalTimeRunFacet(
        nominalStartTime=days.start.isoformat(), nominalEndTime=days.end.isoformat()
    )
    return {"mlforge_partition": facet, "nominalTime": times}
