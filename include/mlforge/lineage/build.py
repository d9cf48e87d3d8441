"""The lineage graph of a use case, read from its contracts, its SQL and the functions of its model."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

from mlforge.lineage.columns import QueryLineage
from mlforge.lineage.graph import TRAINING_SET, ColumnUse, LineageGraph, Table
from mlforge.lineage.kept import traced_query
from mlforge.lineage.transformations import Input, Subtype, distinct

if TYPE_CHECKING:
    from mlforge.spec import UseCase

TIMES = {"partition_key": "text", "event_timestamp": "timestamptz", "known_at": "timestamptz"}
MODEL = "model"
LABEL = "label"


def build_graph(use_case: UseCase) -> LineageGraph:
    """Return the column lineage of a use case.

    Raises:
        SpecError: A query cannot be traced.
    """
    tables: dict[str, Table] = {}
    for dataset in use_case.datasets:
        tables[f"source.{dataset}"] = Table(
            f"source.{dataset}", "source", dict.fromkeys(use_case.contract(dataset).column_names, ())
        )
    for dataset in use_case.datasets:
        tables[f"warehouse.{dataset}"] = published(use_case, dataset)
    for view in use_case.features:
        tables[f"features.{view}"] = feature_view(use_case, view)
    tables[TRAINING_SET] = training_set(use_case, tables)
    tables[MODEL] = model(use_case, tables[TRAINING_SET])
    return LineageGraph(use_case.name, tables)


def downstream_columns(use_case: UseCase, dataset: str, column: str) -> list[ColumnUse]:
    """Return every column that reads a dataset's column: of the warehouse, of views, training set and model.

    Args:
        use_case: The use case.
        dataset: Name of one of its datasets.
        column: A column of its contract; also one that the contract had before, as long as the SQL names it.

    Returns:
        Direct uses first; `training_set.*` if the column decides which examples there are. `layer` is `warehouse`,
        `features`, `training_set` or `model`; `path` tells the way.

    Raises:
        SpecError: There is no such dataset or column, or a query cannot be traced.
    """
    use_case.dataset(dataset)
    layer = "source" if column in use_case.contract(dataset).column_names else "warehouse"
    return build_graph(use_case).downstream(f"{layer}.{dataset}", column)


def warehouse_tables(use_case: UseCase) -> dict[str, dict[str, str]]:
    """Return the columns of the warehouse's tables with their SQL types, by the names that SQL uses."""
    return {
        f"warehouse.{use_case.table(dataset)}": {
            **{column.name: column.sql_type for column in use_case.contract(dataset).columns},
            **TIMES,
        }
        for dataset in use_case.datasets
    }


def published(use_case: UseCase, dataset: str) -> Table:
    """Return where a warehouse table comes from: its contract's columns as they are, its times by their SQL."""
    declared, contract = use_case.dataset(dataset), use_case.contract(dataset)
    source = f"source.{dataset}"
    text = f"SELECT ({declared.event_timestamp}) AS event_timestamp, ({declared.known_at}) AS known_at FROM {source}"  # noqa: S608  an address in the graph, never sent to a database
    times = traced_query(
        text,
        {source: {column.name: column.sql_type for column in contract.columns}},
        where=f"{use_case.name}, times of {dataset}",
    )
    partition = declared.source.partition_column
    key = (Input(source, partition, "DIRECT", "TRANSFORMATION"),) if partition else ()
    columns = {name: (Input(source, name),) for name in contract.column_names}
    return Table(
        f"warehouse.{dataset}", "warehouse", {**columns, "partition_key": key, **_named(times, use_case).columns}
    )


def feature_view(use_case: UseCase, view: str) -> Table:
    """Return where a feature view comes from, through its SQL."""
    text = use_case.sql(f"features/{view}.sql")
    traced = _named(
        traced_query(text, warehouse_tables(use_case), where=f"{use_case.name}, features/{view}.sql"), use_case
    )
    return Table(f"features.{view}", "features", {**traced.columns, "partition_key": ()}, traced.rows, text)


def _named(traced: QueryLineage, use_case: UseCase) -> QueryLineage:
    """Return the lineage with the graph's names of tables."""
    names = {f"warehouse.{use_case.table(dataset)}": f"warehouse.{dataset}" for dataset in use_case.datasets}
    names |= {f"features.{use_case.view_table(view)}": f"features.{view}" for view in use_case.features}

    def rename(inputs: tuple[Input, ...]) -> tuple[Input, ...]:
        return tuple(Input(names.get(item.table, item.table), item.column, item.kind, item.subtype) for item in inputs)

    return QueryLineage(
        {name: rename(inputs) for name, inputs in traced.columns.items()},
        rename(traced.rows),
        tuple(names.get(table, table) for table in traced.tables),
    )


def view_columns(table: Table) -> tuple[list[str], list[str]]:
    """Return a view's entity columns and its features."""
    names = list(table.columns)
    times = names.index("event_timestamp") if "event_timestamp" in names else 0
    return names[:times], [name for name in names[times + 2 :] if name != "partition_key"]


def training_set(use_case: UseCase, tables: dict[str, Table]) -> Table:
    """Return where a training set comes from: the spine, derived fields, and each view joined as of the moment."""
    text = use_case.sql(use_case.training.spine)
    spine = _named(
        traced_query(text, warehouse_tables(use_case), where=f"{use_case.name}, {use_case.training.spine}"), use_case
    )
    columns = dict(spine.columns)
    for name, sources in derived_from(use_case).items():
        inputs = [
            item.through("DIRECT", "TRANSFORMATION") for source in sources for item in spine.columns.get(source, ())
        ]
        columns[name] = distinct(inputs)
    outcome = {name: columns.pop(name) for name in use_case.training.outcome if name in columns}
    for view in use_case.features:
        columns |= _joined(tables[f"features.{view}"], view, columns)
    columns |= _on_demand(use_case, columns)
    return Table(TRAINING_SET, TRAINING_SET, {**columns, **outcome}, spine.rows, text)


def _joined(table: Table, view: str, examples: dict[str, tuple[Input, ...]]) -> dict[str, tuple[Input, ...]]:
    """Return a view's features in a training set: entity, moment and the row's two times decide which row it is."""
    entities, features = view_columns(table)
    join = [Input(table.name, name) for name in (*entities, "event_timestamp", "known_at")]
    join += [item for name in (*entities, "event_timestamp") for item in examples.get(name, ())]
    decided = [item.through("INDIRECT", "JOIN") for item in join]
    return {f"{view}__{name}": distinct([Input(table.name, name), *decided]) for name in features}


def _on_demand(use_case: UseCase, columns: dict[str, tuple[Input, ...]]) -> dict[str, tuple[Input, ...]]:
    """Return what the functions on demand give: each feature comes from every column that its function names."""
    found: dict[str, tuple[Input, ...]] = {}
    for view, features in use_case.on_demand.items():
        named = _names_in(use_case.folder / "on_demand.py", view)
        inputs = [
            item.through("DIRECT", "TRANSFORMATION")
            for name, sources in columns.items()
            if name in named
            for item in sources
        ]
        found |= {f"{view}__{feature}": distinct(inputs) for feature in features}
    return found


def model(use_case: UseCase, examples: Table) -> Table:
    """Return what the model takes: request and derived fields, features, and its label."""
    request = [name for name, field in use_case.prediction.request.items() if field.feature]
    known = {*use_case.features, *use_case.on_demand}
    views = [name for name in examples.columns if "__" in name and name.split("__", 1)[0] in known]
    dropped = use_case.training.drop_features
    names = [name for name in (*request, *use_case.prediction.derived, *views) if name not in dropped]
    label: Subtype = "TRANSFORMATION"
    columns = {name: (Input(TRAINING_SET, name),) for name in names}
    outcome = tuple(Input(TRAINING_SET, name, "DIRECT", label) for name in use_case.training.outcome)
    return Table(MODEL, MODEL, {**columns, LABEL: outcome})


def derived_from(use_case: UseCase) -> dict[str, list[str]]:
    """Return which request fields each derived field may come from: those that `model.derive` names.

    It is Python, so it cannot be traced by value: every derived field is told to come from every field named.
    """
    fields = list(use_case.prediction.request)
    named = _names_in(use_case.folder / "model.py", "derive")
    used = [name for name in fields if name in named] or fields
    return dict.fromkeys(use_case.prediction.derived, used)


def _names_in(path: Path, function: str) -> set[str]:
    """Return the texts that a function of a Python file holds, the names of columns among them."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {
        node.value
        for each in tree.body
        if isinstance(each, ast.FunctionDef) and each.name == function
        for node in ast.walk(each)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
