"""Column lineage of a query: which columns each of its columns comes from, and which decide about its rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlforge.errors import SpecError
from mlforge.lineage.transformations import Input, Kind, Subtype, distinct

if TYPE_CHECKING:
    from sqlglot import exp
    from sqlglot.optimizer.scope import Scope

# Schema of a table: column → SQL type; tables by `schema.table`.
Tables = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class QueryLineage:
    """What a query reads.

    Attributes:
        columns: Each column that the query gives, in order, with its inputs; none for a constant.
        rows: Columns that decide which rows there are: filters, joins, groups, order of a choice.
        tables: `schema.table` of every table that is read.
    """

    columns: dict[str, tuple[Input, ...]]
    rows: tuple[Input, ...]
    tables: tuple[str, ...]

    @property
    def reads(self) -> set[tuple[str, str]]:
        """Every column that occurs anywhere in the query."""
        return {item.address for inputs in (*self.columns.values(), self.rows) for item in inputs}


def trace_query(text: str, tables: Tables, *, where: str = "") -> QueryLineage:
    """Return the column lineage of one SELECT of PostgreSQL.

    Args:
        text: The SQL, with psycopg's placeholders.
        tables: Columns of the tables that may be read, for names without a table and for `*`.
        where: Names the SQL in errors.

    Raises:
        SpecError: It is no SELECT that can be parsed.

    Source: the ways are those of the OpenLineage column lineage facet 1.2.
    """
    from sqlglot import ParseError, exp, parse_one
    from sqlglot.errors import OptimizeError
    from sqlglot.optimizer.qualify import qualify
    from sqlglot.optimizer.scope import build_scope

    schema: dict[str, Any] = {}
    for name, columns in tables.items():
        place, _, table = name.rpartition(".")
        schema.setdefault(place, {})[table] = dict(columns)
    try:
        query = parse_one(text.replace("%%", "%"), dialect="postgres")
        if not isinstance(query, exp.Query):
            raise SpecError("it is no SELECT", where=where, hint="a view or a spine is one query")
        qualified = qualify(
            query, schema=schema, dialect="postgres", validate_qualify_columns=False, quote_identifiers=False
        )
    except (ParseError, OptimizeError) as error:
        raise SpecError(
            f"its columns cannot be traced: {str(error).splitlines()[0]}", where=where, hint="correct the SQL"
        ) from error
    scope = build_scope(qualified)
    if scope is None:
        raise SpecError("it is no SELECT", where=where, hint="a view or a spine is one query")
    return _Tracer().trace(scope)


class _Tracer:
    """Resolves the columns of scopes, each scope once."""

    def __init__(self) -> None:
        self._outputs: dict[int, dict[str, tuple[Input, ...]]] = {}
        self._rows: list[Input] = []
        self._tables: dict[str, None] = {}

    def trace(self, scope: Scope) -> QueryLineage:
        columns = self.outputs(scope)
        return QueryLineage(columns=dict(columns), rows=distinct(self._rows), tables=tuple(self._tables))

    def outputs(self, scope: Scope) -> dict[str, tuple[Input, ...]]:
        """Return what a scope gives, by column; notes on the way which columns decide about rows."""
        place = id(scope.expression)  # a recursive CTE has a second scope over the same expression
        if place in self._outputs:
            return self._outputs[place]
        self._outputs[place] = {}
        if scope.set_operation_scopes:
            found = self._union(scope)
        elif scope.is_udtf:
            found = self.outputs(scope.subquery_scopes[0]) if scope.subquery_scopes else {}  # LATERAL
        else:
            found = {column.alias_or_name: self._inputs(scope, column) for column in _selected(scope)}
            self._rows += self._row_inputs(scope)
        self._outputs[place] = found
        return found

    def _union(self, scope: Scope) -> dict[str, tuple[Input, ...]]:
        names = [column.alias_or_name for column in _selected(scope)]
        parts = [list(self.outputs(part).values()) for part in scope.set_operation_scopes]
        return {
            name: distinct([item for part in parts if place < len(part) for item in part[place]])
            for place, name in enumerate(names)
        }

    def _inputs(self, scope: Scope, expression: exp.Expr) -> tuple[Input, ...]:
        """Return what an expression of a scope is made of."""
        from sqlglot import exp

        found: list[Input] = []
        for node, kind, subtype in _walk(expression, "DIRECT", "IDENTITY"):
            if isinstance(node, exp.Column):
                inputs = list(self._resolve(scope, node))
            else:
                inner = next((each for each in scope.subquery_scopes if each.expression is node), None)
                inputs = [item for group in self.outputs(inner).values() for item in group] if inner else []
            found += [item.through(kind, subtype) for item in inputs]
        return distinct(found)

    def _resolve(self, scope: Scope, column: exp.Column) -> tuple[Input, ...]:
        """Return the columns of tables that a column of a scope stands for."""
        from sqlglot import exp

        source = scope.sources.get(column.table or column.name)
        if source is None and scope.parent is not None and column.table:
            return self._resolve(scope.parent, column)  # a correlated subquery reads its surroundings
        if source is None:
            # A bare name is a column of the result, as in ORDER BY, or one that no known table has (any more).
            return self._own_output(scope, column) or (Input(self._only_table(scope), column.name),)
        if isinstance(source, exp.Table):
            if isinstance(source.this, exp.Identifier):
                return (Input(self._note(source), column.name),)
            return self._made_of(scope, source.this)
        return self.outputs(source).get(column.name) or (
            self._made_of(source, source.expression) if source.is_udtf else ()
        )

    def _only_table(self, scope: Scope) -> str:
        from sqlglot import exp

        sources = list(scope.sources.values())
        source = sources[0] if len(sources) == 1 else None
        return self._note(source) if isinstance(source, exp.Table) and isinstance(source.this, exp.Identifier) else ""

    def _made_of(self, scope: Scope, function: exp.Expr) -> tuple[Input, ...]:
        """Return what the rows of a function such as unnest are made of."""
        return tuple(item.through("DIRECT", "TRANSFORMATION") for item in self._inputs(scope, function))

    def _note(self, table: exp.Table) -> str:
        name = ".".join(part for part in (table.db, table.name) if part)
        self._tables.setdefault(name)
        return name

    def _own_output(self, scope: Scope, column: exp.Column) -> tuple[Input, ...]:
        for selected in _selected(scope):
            if selected.alias_or_name == column.name and column not in selected.find_all(type(column)):
                return self._inputs(scope, selected)
        return ()

    def _row_inputs(self, scope: Scope) -> list[Input]:
        from sqlglot import exp

        for source in scope.sources.values():
            if not isinstance(source, exp.Table):
                self.outputs(source)
            elif isinstance(source.this, exp.Identifier):
                self._note(source)
        return [
            item.through("INDIRECT", subtype)
            for expression, subtype in _row_expressions(scope.expression)
            for item in self._inputs(scope, expression)
        ]


def _selected(scope: Scope) -> list[exp.Expr]:
    from sqlglot import exp

    return scope.expression.selects if isinstance(scope.expression, exp.Query) else []


def _row_expressions(select: exp.Expr) -> Iterator[tuple[exp.Expr, Subtype]]:
    """Yield the parts of a SELECT that decide which rows there are."""
    arguments: dict[str, Any] = select.args
    for name in ("where", "having", "qualify"):
        if arguments.get(name) is not None:
            yield arguments[name].this, "FILTER"
    for join in arguments.get("joins") or []:
        if join.args.get("on") is not None:
            yield join.args["on"], "JOIN"
    groups = arguments.get("group")
    for expression in groups.expressions if groups is not None else []:
        yield expression, "GROUP_BY"
    chosen = arguments.get("distinct")
    if chosen is not None and chosen.args.get("on") is not None:
        yield chosen.args["on"], "GROUP_BY"
    if arguments.get("order") is not None:
        yield arguments["order"], "SORT"


def _walk(node: exp.Expr, kind: Kind, subtype: Subtype) -> Iterator[tuple[exp.Expr, Kind, Subtype]]:
    """Yield the columns and the subqueries in an expression, with the way in which it uses them."""
    from sqlglot import exp

    if isinstance(node, exp.Column | exp.Select | exp.SetOperation):
        yield node, kind, subtype
        return
    for name, value in node.args.items():
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, exp.Expr):
                way = _way(node, name)
                seen = Input("", "", kind, subtype).through(*way)
                yield from _walk(child, seen.kind, seen.subtype) if kind == "DIRECT" else _walk(child, kind, subtype)


def _way(node: exp.Expr, part: str) -> tuple[Kind, Subtype]:
    """Return how a node uses one of its parts."""
    from sqlglot import exp

    if (isinstance(node, exp.Filter) and part == "expression") or (
        isinstance(node, exp.Case | exp.If) and part == "this"
    ):
        return "INDIRECT", "CONDITIONAL"
    if isinstance(node, exp.Window) and part in ("partition_by", "order"):
        return "INDIRECT", "WINDOW"
    if isinstance(node, exp.Order) and part == "expressions" and not isinstance(node.parent, exp.WithinGroup):
        return "INDIRECT", "SORT"
    if isinstance(node, exp.AggFunc | exp.WithinGroup):
        return "DIRECT", "AGGREGATION"
    if isinstance(node, exp.Alias | exp.Paren | exp.Subquery | exp.Filter | exp.Tuple | exp.Order):
        return "DIRECT", "IDENTITY"
    return "DIRECT", "TRANSFORMATION"
