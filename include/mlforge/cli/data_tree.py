"""A version's lineage as a tree for the terminal."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.tree import Tree

Row = dict[str, Any]

_SHOWN = 8


def lineage_tree(traced: Row) -> Tree:
    """Return what `trace_version` found as a tree: made from, then used by."""
    from rich.markup import escape
    from rich.tree import Tree

    version = traced["version"]
    note = f", “{version['note']}”" if version["note"] else ""
    tree = Tree(
        escape(
            f"{version['name']}: {version['rows']:,} rows, {version['partitions']:,} partitions, "
            f"{version['created_at']:%Y-%m-%d %H:%M} UTC by {version['who']}{note}, code {version['code_version']}"
        )
    )
    _add_origin(tree.add("[bold]made from[/bold]"), traced["made_from"])
    _add_uses(tree.add("[bold]used by[/bold]"), traced["used_by"])
    return tree


def _add_origin(branch: Tree, origin: Row) -> None:
    from rich.markup import escape

    if not origin["publications"]:
        branch.add("no publication that this ledger knows")
    for dataset, rows in groupby(origin["publications"], key=lambda row: row["dataset"]):
        publications = list(rows)
        source = origin["sources"].get(dataset)
        where = f" from {' '.join(str(value) for value in source.values())}" if source else ""
        count = sum(row["rows_published"] for row in publications)
        node = branch.add(escape(f"{dataset}: {len(publications):,} publications, {count:,} rows{where}"))
        groups = _alike(publications)
        for keys, row in groups[:_SHOWN]:
            _add_publications(node, keys, row)
        if len(groups) > _SHOWN:
            node.add(f"and {len(groups) - _SHOWN:,} more raw files; all are in --json")


def _alike(publications: list[Row]) -> list[tuple[list[str], Row]]:
    """Return publications that came from one raw file by one run and code as one: their keys, and the first."""
    same: dict[tuple[Any, ...], tuple[list[str], Row]] = {}
    for row in publications:
        alike = ("raw_hash", "contract_version", "code_version", "run_id", "rules_passed", "rules_failed")
        keys, _ = same.setdefault(tuple(row[name] for name in alike), ([], row))
        keys.append(row["partition_key"])
    return list(same.values())


def _add_publications(node: Tree, keys: list[str], row: Row) -> None:
    from rich.markup import escape

    days = keys[0] if len(keys) == 1 else f"{keys[0]} … {keys[-1]} ({len(keys)})"
    each = node.add(escape(f"{days}, published {row['published_at']:%Y-%m-%d %H:%M} UTC by {_run(row['run_id'])}"))
    each.add(escape(f"raw file {row['raw_uri']}, sha256 {row['raw_hash'][:12]}"))
    verdict = f"{row['rules_passed']} rules kept, {row['rules_failed']} broken"
    each.add(escape(f"contract {row['contract_version']}: {verdict}; code {row['code_version']}"))


def _add_uses(branch: Tree, used_by: list[Row]) -> None:
    from rich.markup import escape

    if not used_by:
        branch.add("no training set yet")
    for row in used_by[-_SHOWN:]:
        part = f", {row['partitions']:,} of its partitions" if "partitions" in row else ""
        node = branch.add(
            escape(
                f"training set of {row['partition_key']}: {row['rows']:,} rows{part}, "
                f"sha256 {row['content_hash'][:12]}, by {_run(row['run_id'])}"
            )
        )
        for model in row["models"]:
            _add_model(node, model)
    if len(used_by) > _SHOWN:
        branch.add(f"and {len(used_by) - _SHOWN:,} older training sets; all are in --json")


def _add_model(node: Tree, model: Row) -> None:
    from rich.markup import escape

    gate = "" if model["gate"] is None else f", gate {'passed' if model['gate']['passed'] else 'refused'}"
    branch = node.add(
        escape(f"model {model['name']} version {model['version']}, MLflow run {model['mlflow_run_id']}{gate}")
    )
    for release in model["releases"]:
        state = f", {release['state']} since {release['state_since']:%Y-%m-%d %H:%M} UTC" if release["state"] else ""
        text = f"release {release['release_id']} ({release['kind']} by {release['who']}: {release['why']}){state}"
        branch.add(escape(text)).add(f"{release['predictions']:,} predictions")


def _run(run_id: str | None) -> str:
    return f"run {run_id}" if run_id else "a command"
