"""The command `mlforge init`: a use case from a file or a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from mlforge.scaffold import Draft, Sample, Wishes


def register(app: typer.Typer) -> None:
    """Add the command to `mlforge`."""
    app.command()(init)


def init(
    name: Annotated[str, typer.Argument(help="Name of the use case, such as `churn`.")],
    source: Annotated[
        str,
        typer.Option(
            "--from",
            help="A CSV (also zipped), Parquet or JSON-lines file; or, with --table, a connection of Airflow or the"
            " URL of a database.",
        ),
    ],
    target: Annotated[str | None, typer.Option(help="The column to predict.")] = None,
    table: Annotated[str | None, typer.Option(help="The table, as schema.table.")] = None,
    time: Annotated[str | None, typer.Option(help="The column that says when a row's event happened.")] = None,
    key: Annotated[list[str] | None, typer.Option(help="A column of the primary key; once per column.")] = None,
    entity: Annotated[
        list[str] | None,
        typer.Option(help="A column whose values come again, for trailing features; `a+b` for both together."),
    ] = None,
    after: Annotated[
        list[str] | None, typer.Option(help="A column that is known only afterwards; once per column.")
    ] = None,
    task: Annotated[Literal["classification", "regression"] | None, typer.Option(help="What is predicted.")] = None,
    positive: Annotated[str | None, typer.Option(help="The target's value of the positive class.")] = None,
    period: Annotated[Literal["day", "week"] | None, typer.Option(help="How long a partition is.")] = None,
    known_after: Annotated[
        int | None, typer.Option(min=1, max=3650, help="Days after the event from which on the outcome is known.")
    ] = None,
    timezone: Annotated[str, typer.Option(help="Zone of times that say none.")] = "UTC",
    dataset: Annotated[str | None, typer.Option(help="Name of the dataset; else the source's.")] = None,
    owner: Annotated[str | None, typer.Option(help="Who answers for it; else you.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what is inferred, write nothing.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that are there.")] = False,
) -> None:
    """Make a use case from your own data: contract, features, model, DAGs, ready to run."""
    import getpass

    from rich.console import Console

    from mlforge.scaffold import Wishes, render, write_files
    from mlforge.settings import get_settings

    console = Console(highlight=False)
    wishes = Wishes(
        target=target,
        time=time,
        key=key or (),
        entities=entity or (),
        after=after or (),
        task=task,
        positive=positive,
        period=period,
        dataset=dataset,
        owner=owner or getpass.getuser(),
        timezone=timezone,
        known_after=known_after,
        taken_views=_taken_views(name),
    )
    draft = _draft(console, name, source, table, wishes)
    _show(console, draft)
    texts = render(draft)
    root = get_settings().root
    if dry_run:
        console.print(f"Nothing was written; {len(texts)} files would be, below {root}:", soft_wrap=True)
    else:
        write_files(root, texts, force=force)
        _require_loadable(name)
        console.print(f"[green]✓[/green] {len(texts)} files below {root}:", soft_wrap=True)
    for path in texts:
        console.print(f"    {path}", soft_wrap=True, markup=False)
    if not dry_run:
        _show_next(console, draft)


def _draft(console: Console, name: str, source: str, table: str | None, wishes: Wishes) -> Draft:
    """Return the draft; a target that is not named is asked for where there is somebody to ask."""
    import datetime as dt
    import sys
    from dataclasses import replace

    from mlforge.scaffold import check_names, make_draft
    from mlforge.scaffold.inference import target_candidates

    check_names(name, wishes)
    with console.status(f"reading {source.rsplit('@', 1)[-1]}"):
        sample = _sample(name, source, table)
    if wishes.target is None and sys.stdin.isatty() and console.is_terminal:
        found = target_candidates(sample, wishes)
        wishes = replace(wishes, target=_ask(console, found))
    with console.status("looking at the columns"):
        return make_draft(name, sample, wishes, today=dt.datetime.now(dt.UTC).date())


def _sample(name: str, source: str, table: str | None) -> Sample:
    from mlforge.errors import SpecError
    from mlforge.scaffold import read_file, read_table
    from mlforge.scaffold.tables import is_database

    if table is not None:
        return read_table(source, table, name=name)
    if is_database(source):
        raise SpecError("a database holds many tables", hint="name one: --table schema.table")
    return read_file(source)


def _ask(console: Console, found: list[Any]) -> str | None:
    from rich.prompt import IntPrompt

    if not found:
        return None
    console.print("Which column shall be predicted?")
    for number, column in enumerate(found, start=1):
        console.print(f"  {number}  {column.name}: {column.kind}, {column.distinct:,} values", markup=False)
    choices = [str(number) for number in range(1, len(found) + 1)]
    number = IntPrompt.ask("Number", choices=choices, show_choices=False, default=1, console=console)
    return str(found[number - 1].name)


def _taken_views(name: str) -> list[str]:
    """Return the feature views of the other use cases: all share one registry."""
    import yaml

    from mlforge.settings import get_settings

    taken: list[str] = []
    for path in get_settings().use_cases_dir.glob("*/use_case.yaml"):
        if path.parent.name != name:
            document = yaml.safe_load(path.read_text(encoding="utf-8"))
            taken += document.get("features") or [] if isinstance(document, dict) else []
    return taken


def _require_loadable(name: str) -> None:
    from mlforge.settings import get_settings
    from mlforge.spec.loading import read_use_case

    read_use_case(get_settings().use_cases_dir / name)


def _show(console: Console, draft: Draft) -> None:
    from rich.markup import escape
    from rich.table import Table

    from mlforge.scaffold import findings, warnings

    table = Table(box=None, pad_edge=False, show_header=True, header_style="bold")
    table.add_column("inferred", no_wrap=True)
    table.add_column("", style="cyan", overflow="fold")
    table.add_column("why", style="dim", overflow="fold")
    before = None
    for finding in findings(draft):
        what = "" if finding.what == before else finding.what
        table.add_row(what, escape(finding.value), escape(finding.why))
        before = finding.what
    console.print(table)
    for warning in warnings(draft):
        console.print(f"[yellow]![/yellow] {escape(warning)}")
    console.print()


def _show_next(console: Console, draft: Draft) -> None:
    from mlforge.scaffold.rendering import next_commands

    console.print("\nNext:")
    for command in next_commands(draft):
        console.print(f"    {command}", soft_wrap=True, markup=False)
