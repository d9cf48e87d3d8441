"""`mlforge lineage …`: where the columns of a use case come from, and what reads them."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.tree import Tree

    from mlforge.lineage.graph import ColumnUse, LineageGraph, Node
    from mlforge.lineage.transformations import Input

lineage_app = typer.Typer(
    help="Where columns come from and what reads them, from a use case's files alone.", no_args_is_help=True
)


@lineage_app.command("show")
def show(
    use_case: Annotated[str, typer.Argument(help="Name of the use case.")],
    name: Annotated[
        str | None,
        typer.Argument(help="A dataset, a view, or a column: flights, features.weather, flights.arr_delay, seats."),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also what only decides which values are taken: filters, joins, groups.")
    ] = False,
    html: Annotated[Path | None, typer.Option("--html", help="Write a page with the graph to this file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a script.")] = False,
) -> None:
    """Show a use case's tables, or where a column comes from and which views and model inputs read it."""
    from rich.console import Console

    from mlforge.lineage import build_graph
    from mlforge.spec import load_use_case

    spec = load_use_case(use_case)
    graph = build_graph(spec)
    chosen = graph.find(name) if name else []
    if html is not None:
        from mlforge.lineage.page import render_lineage

        html.write_text(render_lineage(graph, title=spec.title, chosen=chosen), encoding="utf-8")
        sys.stderr.write(f"written: {html}\n")
    if as_json:
        sys.stdout.write(json.dumps(_values(graph, chosen, everything=everything), indent=2) + "\n")
    elif html is None:
        console = Console()
        for tree in _trees(graph, chosen, everything=everything):
            console.print(tree)


def _trees(graph: LineageGraph, chosen: Sequence[Node], *, everything: bool) -> list[Tree]:
    if not chosen:
        return [_overview(graph)]
    tables = {table for table, _ in chosen}
    whole = len(tables) < len(chosen) and all(len([n for n in chosen if n[0] == table]) > 1 for table in tables)
    if whole:
        return [_table(graph, table, everything=everything) for table in graph.tables if table in tables]
    return [_column(graph, node, everything=everything) for node in chosen]


def _overview(graph: LineageGraph) -> Tree:
    """Return each table with the tables that it reads."""
    from rich.markup import escape
    from rich.tree import Tree

    root = Tree(f"[bold]{escape(graph.use_case)}")
    for table in graph.tables.values():
        read = {item.table for inputs in (*table.columns.values(), table.rows) for item in inputs}
        origin = f" [dim]←[/] {escape(', '.join(sorted(read)))}" if read else ""
        root.add(f"[bold]{escape(table.name)}[/] [dim]{len(table.columns)} columns[/]{origin}")
    return root


def _table(graph: LineageGraph, name: str, *, everything: bool) -> Tree:
    """Return each column of a table with what it comes from in one step."""
    from rich.markup import escape
    from rich.tree import Tree

    table = graph.tables[name]
    root = Tree(f"[bold]{escape(name)}")
    for column, inputs in table.columns.items():
        shown = [item for item in inputs if everything or item.kind == "DIRECT"]
        origin = ", ".join(_input(item) for item in shown)
        none = "" if inputs or not graph.inputs((name, column)) else "[dim]rows only[/]"
        root.add(f"{escape(column)} [dim]←[/] {origin}" if shown else f"{escape(column)} {none}".rstrip())
    if table.rows:
        root.add(f"[dim]rows decided by[/] {', '.join(_input(item) for item in table.rows)}")
    return root


def _input(item: Input) -> str:
    from rich.markup import escape

    way = "" if item.subtype == "IDENTITY" else f" [dim]{item.subtype.lower().replace('_', ' ')}[/]"
    return f"{escape(item.table)}.{escape(item.column)}{way}"


def _column(graph: LineageGraph, node: Node, *, everything: bool) -> Tree:
    """Return where a column comes from and what reads it, as far as each way goes."""
    from rich.markup import escape
    from rich.tree import Tree

    root = Tree(f"[bold]{escape('.'.join(node))}")
    for heading, uses in (("comes from", graph.upstream(*node)), ("is read by", graph.downstream(*node))):
        direct = [use for use in uses if everything or use.kind == "DIRECT"]
        inputs = sum(use.layer == "model" and use.kind == "DIRECT" for use in uses)
        of_model = f", {inputs} of them of the model" if heading == "is read by" and inputs else ""
        branch = root.add(f"[bold]{heading}[/] [dim]columns: {len(direct)}{of_model}[/]")
        branches: dict[tuple[str, ...], Tree] = {(".".join(node),): branch}
        for use in sorted(direct, key=lambda each: (len(each.path), each.path)):
            parent = branches.get(use.path[:-1], branch)
            branches[use.path] = parent.add(_use(use))
        if len(uses) > len(direct):
            branch.add(f"[dim]and {len(uses) - len(direct)} that it only decides about: --all shows them[/]")
    return root


def _use(use: ColumnUse) -> str:
    from rich.markup import escape

    way = use.subtype.lower().replace("_", " ")
    style = "[dim]" if use.kind == "DIRECT" else "[yellow]"
    return f"{escape(use.name)} {style}{way}[/]"


def _values(graph: LineageGraph, chosen: Sequence[Node], *, everything: bool) -> list[dict[str, object]]:
    """Return, for each column, what it comes from and what reads it, as JSON values."""

    def listed(uses: list[ColumnUse]) -> list[dict[str, object]]:
        return [
            {"column": use.name, "layer": use.layer, "kind": use.kind, "subtype": use.subtype, "path": list(use.path)}
            for use in uses
            if everything or use.kind == "DIRECT"
        ]

    nodes = chosen or [(table, column) for table in graph.tables for column in graph.tables[table].columns]
    return [
        {
            "column": ".".join(node),
            "comes_from": listed(graph.upstream(*node)),
            "read_by": listed(graph.downstream(*node)),
        }
        for node in nodes
    ]
