"""`mlforge data version …`: dataset versions, from making one to what came of it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlforge.cli.data_tree import lineage_tree

if TYPE_CHECKING:
    from mlforge.versions.diff import VersionDiff

_version_group = typer.Typer(
    help="Versions of published datasets and training sets: files by DVC, names by git.", no_args_is_help=True
)

UseCaseArgument = Annotated[str, typer.Argument(help="Name of the use case.")]
VersionArgument = Annotated[
    str, typer.Argument(help="USE_CASE/DATASET/VERSION; without its last part, the newest version.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    """Add the group to `mlforge`."""
    group = typer.Typer(help="Data of a use case.", no_args_is_help=True)
    group.add_typer(_version_group, name="version")
    app.add_typer(group, name="data")


@_version_group.command("create")
def create(
    use_case: UseCaseArgument,
    dataset: Annotated[str | None, typer.Option("--dataset", help="A dataset: what of it is published.")] = None,
    training_set: Annotated[
        str | None,
        typer.Option(
            "--training-set", help="`newest`, the partition that a training set ends with, or a release's id."
        ),
    ] = None,
    first: Annotated[str | None, typer.Option("--from", help="First partition; all that are published else.")] = None,
    last: Annotated[str | None, typer.Option("--to", help="Last partition.")] = None,
    name: Annotated[str | None, typer.Option("--name", help="Name of the version; v1, v2, … else.")] = None,
    note: Annotated[str, typer.Option("--message", "-m", help="Why it is made.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Make a version of a published dataset or of a training set; the same content again makes none."""
    import getpass

    from mlforge.spec import load_use_case
    from mlforge.versions import create_version

    if (dataset is None) == (training_set is None):
        raise typer.BadParameter("give --dataset or --training-set")
    if (first is None) != (last is None) or (first is not None and dataset is None):
        raise typer.BadParameter("give --from and --to together, with --dataset")
    loaded = load_use_case(use_case)
    created = create_version(
        loaded,
        dataset=dataset,
        training_set=training_set,
        days=loaded.partitions(f"{first}..{last}") if first else None,
        name=name,
        note=note,
        who=getpass.getuser(),
    )
    version = created.version
    if as_json:
        _print_json({"name": str(version.name), "new": created.new, **version.model_dump(mode="json")})
        return
    size = f"{version.rows:,} rows in {len(version.files):,} files, {_megabytes(version.bytes)}"
    if created.new:
        typer.echo(f"{version.name}: {size}; {created.reused:,} files as in the version before")
    else:
        typer.echo(f"nothing new: {version.name} holds the same, {size}")


@_version_group.command("list")
def list_all(use_case: UseCaseArgument, as_json: JsonOption = False) -> None:
    """Show the versions of a use case, and which training sets and releases used them."""
    from rich.console import Console
    from rich.table import Table

    from mlforge.spec import load_use_case
    from mlforge.versions.lineage import list_versions

    found = list_versions(load_use_case(use_case).name)
    if as_json:
        _print_json([{"name": str(record.name), **vars(record), "used_by": used} for record, used in found])
        return
    if not found:
        typer.echo(
            f"{use_case} has no version yet; make one by `mlforge data version create {use_case} --dataset NAME`"
        )
        return
    table = Table("version", "rows", "partitions", "size", "when (UTC)", "who", "note", "used by")
    for column in table.columns[:6]:
        column.no_wrap = True
    for column in table.columns[1:4]:
        column.justify = "right"
    for record, used in found:
        table.add_row(
            f"{record.dataset}/{record.version}",
            f"{record.rows:,}",
            f"{record.partitions:,}",
            _megabytes(record.bytes),
            f"{record.created_at:%Y-%m-%d %H:%M}",
            record.who,
            record.note,
            _users(used),
        )
    Console().print(table)


@_version_group.command("diff")
def diff(
    old: VersionArgument,
    new: Annotated[str, typer.Argument(help="The other version; `v2` alone is one of the same dataset.")],
    html: Annotated[Path | None, typer.Option("--html", help="Write a page into this file.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what differs between two versions: columns, rows, cells and distributions."""
    from mlforge.versions import DataRepository
    from mlforge.versions.diff import as_json as diff_as_json
    from mlforge.versions.diff import diff_versions

    repository = DataRepository.open()
    before = repository.resolve(old)
    after = repository.resolve(new if "/" in new else f"{before.name.series}/{new}")
    found = diff_versions(repository, before, after)
    if html is not None:
        from mlforge.versions.page import render_diff

        html.parent.mkdir(parents=True, exist_ok=True)
        html.write_text(render_diff(found), encoding="utf-8")
        sys.stderr.write(f"the page is {html}\n")
    if as_json:
        _print_json(diff_as_json(found))
    else:
        _print_diff(found)


@_version_group.command("restore")
def restore(
    version: VersionArgument,
    target: Annotated[Path | None, typer.Option("--to", help="Folder that is empty or does not exist.")] = None,
) -> None:
    """Write a version's files into a folder, byte for byte as they were; from the remote alone if need be."""
    from mlforge.versions import DataRepository, restore_version

    repository = DataRepository.open()
    found = repository.resolve(version)
    folder = restore_version(found, target or Path(str(found.name).replace("/", "-")), repository=repository)
    typer.echo(f"{found.name}: {len(found.files):,} files, {_megabytes(found.bytes)}, all hashes right, in {folder}")
    if found.kind == "dataset":
        typer.echo("To publish them again, see “Publishing a version again” in docs/data-versions.md.")


@_version_group.command("lineage")
def lineage(version: VersionArgument, as_json: JsonOption = False) -> None:
    """Show what a version was made from, and the training sets, models, releases and predictions made of it."""
    from rich.console import Console

    from mlforge.spec import load_use_case
    from mlforge.versions.lineage import find_record, trace_version

    record = find_record(version)
    traced = trace_version(load_use_case(record.use_case), record)
    if as_json:
        _print_json(traced)
    else:
        Console().print(lineage_tree(traced))


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2, default=str) + "\n")


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.1f} MB" if count >= 100_000 else f"{count / 1e3:,.1f} kB"


def _users(used: list[dict[str, Any]]) -> str:
    releases = sorted(
        {release["release_id"] for row in used for model in row["models"] for release in model["releases"]}
    )
    sets = [f"{row['partition_key']}" for row in used]
    parts = []
    if sets:
        shown = ", ".join(sets[-3:])
        parts.append(f"training set{'s' if len(sets) > 1 else ''} {'… ' if len(sets) > 3 else ''}{shown}")
    if releases:
        parts.append(f"release{'s' if len(releases) > 1 else ''} {', '.join(map(str, releases))}")
    return "; ".join(parts)


def _print_diff(found: VersionDiff) -> None:
    from rich.console import Console

    console = Console()
    if found.same:
        typer.echo(f"{found.old.name} and {found.new.name} hold the same, byte for byte")
        return
    rows = found.rows
    console.print(f"[bold]{found.old.name} → {found.new.name}[/bold]", soft_wrap=True)
    console.print(
        f"rows: {rows.added:,} added, {rows.removed:,} removed, {rows.changed:,} changed, {rows.same:,} the same; "
        f"partitions: {len(found.partitions):,} differ, {found.unchanged:,} the same; files by DVC: "
        + ", ".join(f"{len(names):,} {kind}" for kind, names in found.files.items() if names),
        soft_wrap=True,
    )
    for text in column_lines(found):
        console.print(text, markup=False, soft_wrap=True)
    for table in _diff_tables(found):
        console.print(table)


def column_lines(found: VersionDiff) -> list[str]:
    """Return a line for each column that came, went or changed its type."""
    columns = found.columns
    return [
        *(f"column added: {name}" for name in columns.added),
        *(f"column removed: {name}" for name in columns.removed),
        *(f"column {name}: {before} → {after}" for name, before, after in columns.retyped),
    ]


def _diff_tables(found: VersionDiff) -> list[Any]:
    from rich.markup import escape
    from rich.table import Table

    tables = []
    if found.partitions:
        table = Table("partition", "status", "added", "removed", "changed", title="Partitions that differ")
        for each in found.partitions[:20]:
            counts = (f"{each.added:,}", f"{each.removed:,}", f"{each.changed:,}")
            table.add_row(each.partition, each.status, *counts)
        if len(found.partitions) > 20:
            table.caption = f"and {len(found.partitions) - 20:,} more; all are in --json and --html"
        tables.append(table)
    if found.rows.columns:
        table = Table("column", "cells", "examples", title="Changed cells")
        for name, changes in sorted(found.rows.columns.items(), key=lambda item: -item[1].cells):
            examples = "\n".join(f"{key}: {before} → {after}" for key, before, after in changes.examples)
            table.add_row(escape(name), f"{changes.cells:,}", escape(examples))
        tables.append(table)
    if found.shifts:
        table = Table("column", "mean", "median", "shift (deviations)", title="Shifted numbers")
        for shift in found.shifts[:20]:
            middle = [str(_rounded(s.quantiles[2] if s.quantiles else None)) for s in (shift.old, shift.new)]
            means = f"{_rounded(shift.old.mean)} → {_rounded(shift.new.mean)}"
            size = shift.in_deviations
            table.add_row(escape(shift.column), means, " → ".join(middle), "" if size is None else f"{size:+.3f}")
        tables.append(table)
    return tables


def _rounded(value: float | None) -> str:
    return "none" if value is None else f"{value:.5g}"
