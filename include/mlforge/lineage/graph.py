"""Column lineage of a whole use case, from its files alone: sources, warehouse, feature views, training set, model.

Nodes are `layer.name` and a column: `source.flights`, `warehouse.flights`, `features.route_delays`, `training_set`,
`model`. Nothing is read but the use case's folder, so it tells what a change would hit before anything has run.
"""

from __future__ import annotations

import difflib
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from mlforge.errors import SpecError
from mlforge.lineage.transformations import Input, Kind, Subtype

Node = tuple[str, str]
ROWS = "*"
TRAINING_SET = "training_set"


@dataclass(frozen=True)
class Table:
    """A box of the graph.

    Attributes:
        name: Its node name, such as `warehouse.flights`.
        layer: source, warehouse, features, training_set or model; `other` for what the SQL reads beside them.
        columns: Each column with what it comes from.
        rows: What decides which rows there are.
        sql: Text that computes it, if SQL does.
    """

    name: str
    layer: str
    columns: Mapping[str, tuple[Input, ...]]
    rows: tuple[Input, ...] = ()
    sql: str = ""


@dataclass(frozen=True)
class ColumnUse:
    """A column that depends on another one, or that it depends on.

    Attributes:
        table: Node name of its table.
        layer: The table's layer.
        column: Its name.
        kind: DIRECT if every step on the way is; else INDIRECT.
        subtype: Of a direct way, the step that changes most; of an indirect one, its first indirect step.
        path: Every step as `table.column`, from the column that was asked for to this one.
    """

    table: str
    layer: str
    column: str
    kind: Kind
    subtype: Subtype
    path: tuple[str, ...]

    @property
    def name(self) -> str:
        """`table.column`."""
        return f"{self.table}.{self.column}"


@dataclass(frozen=True)
class LineageGraph:
    """Tables in the order of the chain, and the steps between their columns."""

    use_case: str
    tables: Mapping[str, Table]
    _readers: dict[Node, list[tuple[Node, Input]]] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        for table in self.tables.values():
            for column in (*table.columns, ROWS):
                for _, item in self.inputs((table.name, column)):
                    self._readers.setdefault(item.address, []).append(((table.name, column), item))

    def downstream(self, table: str, column: str) -> list[ColumnUse]:
        """Return every column that depends on one, direct ones first, each with its shortest way.

        Raises:
            SpecError: There is no such column.
        """
        start = self._require(table, column)
        return self._closure(start, lambda node: self._readers.get(node, []))

    def upstream(self, table: str, column: str) -> list[ColumnUse]:
        """Return every column that one depends on, direct ones first, each with its shortest way.

        Raises:
            SpecError: There is no such column.
        """
        return self._closure(self._require(table, column), self.inputs)

    def inputs(self, node: Node) -> list[tuple[Node, Input]]:
        """Return what a column comes from in one step; in a view that includes what decides about its rows.

        A view's values are mostly sums over its rows. In a training set, which examples there are says nothing about
        the value of a feature: there the rows are a column of their own, `*`.
        """
        table = self.tables.get(node[0])
        if table is None:
            return []
        inputs = table.columns.get(node[1], ())
        if (table.layer == TRAINING_SET) == (node[1] == ROWS):
            inputs = (*inputs, *table.rows)
        return [(item.address, item) for item in inputs]

    def _closure(self, start: Node, steps: Callable[[Node], Iterable[tuple[Node, Input]]]) -> list[ColumnUse]:
        found: dict[Node, ColumnUse] = {}
        waiting: deque[tuple[Node, Input, tuple[str, ...]]] = deque([(start, Input(*start), (".".join(start),))])
        later: deque[tuple[Node, Input, tuple[str, ...]]] = deque()
        while waiting or later:
            # Direct ways are walked to their ends before any indirect one.
            node, way, path = waiting.popleft() if waiting else later.popleft()
            if node in found or (node == start and len(path) > 1):
                continue
            if node != start:
                found[node] = ColumnUse(node[0], self._layer(node[0]), node[1], way.kind, way.subtype, path)
            for reached, step in steps(node):
                seen = way if way.kind == "INDIRECT" else way.through(step.kind, step.subtype)
                queue = waiting if seen.kind == "DIRECT" else later
                queue.append((reached, seen, (*path, ".".join(reached))))
        return list(found.values())

    def _layer(self, table: str) -> str:
        known = self.tables.get(table)
        return known.layer if known else "other"

    def _require(self, table: str, column: str) -> Node:
        known = self.tables.get(table)
        if known is None:
            raise _unknown(f"no table {table!r} in the lineage", table, self.tables, self.use_case)
        if column not in known.columns and (table, column) not in self._readers:
            raise _unknown(f"{table} has no column {column!r}", column, known.columns, self.use_case)
        return table, column

    def find(self, name: str) -> list[Node]:
        """Return the columns that a name means: `[layer.]table`, `[layer.]table.column`, or a column of any table.

        Raises:
            SpecError: It means nothing; the error names the nearest.
        """
        tables = [table for table in self.tables if name in (table, table.partition(".")[2])]
        if tables:
            return [(table, column) for table in tables for column in self.tables[table].columns]
        nodes = [(table, column) for table in self.tables for column in self.tables[table].columns]
        exact = [node for node in nodes if name in (".".join(node), f"{node[0].partition('.')[2]}.{node[1]}")]
        found = exact or [node for node in nodes if node[1] == name]
        if not found:
            names = [*self.tables, *(".".join(node) for node in nodes), *(node[1] for node in nodes)]
            short = [each.partition(".")[2] for each in names if "." in each]
            raise _unknown(f"nothing in the lineage is called {name!r}", name, [*names, *short], self.use_case)
        return found


def _unknown(what: str, name: str, known: Iterable[str], where: str) -> SpecError:
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1)
    return SpecError(what, where=where, hint=f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(names)}")
