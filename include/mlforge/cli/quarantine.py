"""`mlforge quarantine …`: rows that broke their contract: list, show, fix, release."""

from __future__ import annotations

import csv
import getpass
import io
import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlforge.ingest.quarantine import QuarantinedRow
    from mlforge.refs import PublishedPartition
    from mlforge.spec import UseCase

quarantine_app = typer.Typer(help="Rows that broke their contract: list, show, release.", no_args_is_help=True)

UseCaseArgument = Annotated[str, typer.Argument(help="Name of the use case.")]
DatasetArgument = Annotated[str, typer.Argument(help="Name of the dataset.")]
PartitionArgument = Annotated[str, typer.Argument(help="One partition: 2013-04-01, or `static`.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, one object per line.")]


class Format(StrEnum):
    """How rows are written."""

    table = "table"
    csv = "csv"
    json = "json"


@quarantine_app.command("list")
def list_counts(
    use_case: UseCaseArgument,
    dataset: Annotated[str | None, typer.Option("--dataset", help="Only this dataset.")] = None,
    partition: Annotated[str | None, typer.Option("--partition", help="Only this partition.")] = None,
    rule: Annotated[str | None, typer.Option("--rule", help="Only rows that break this rule.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Count the rows in quarantine by partition and rule, with the keys of a few."""
    from dataclasses import asdict

    from rich.console import Console
    from rich.table import Table

    from mlforge.ingest.quarantine import quarantine_counts
    from mlforge.spec import load_use_case

    counts = quarantine_counts(load_use_case(use_case), dataset=dataset, partition_key=partition, rule=rule)
    if as_json:
        for each in counts:
            sys.stdout.write(json.dumps(asdict(each)) + "\n")
        return
    if not counts:
        Console().print("no row is in quarantine")
        return
    table = Table("dataset", "partition", "rule", "rows", "such as")
    for each in counts:
        example = ", ".join(f"{name} {value}" for name, value in each.examples[0].items())
        table.add_row(each.dataset, each.partition_key, each.rule, f"{each.rows:,}", example)
    Console().print(table)


@quarantine_app.command()
def show(
    use_case: UseCaseArgument,
    dataset: DatasetArgument,
    partition: PartitionArgument,
    form: Annotated[Format, typer.Option("--format", help="`csv` and `json` can be fixed and released.")] = (
        Format.table
    ),
    file: Annotated[
        Path | None, typer.Option("--file", help="Write to this file, which must not be there yet.")
    ] = None,
) -> None:
    """Show the rows of a partition with the rules that they break."""
    from mlforge.errors import TerminalError
    from mlforge.ingest.quarantine import require_rows
    from mlforge.spec import load_use_case

    rows = require_rows(load_use_case(use_case), dataset, partition)
    if form is Format.table and file is None:
        _print_table(rows)
        return
    text = _as_csv(rows) if form is not Format.json else _as_json(rows)
    if file is None:
        sys.stdout.write(text)
        return
    try:
        with file.open("x", encoding="utf-8") as target:
            target.write(text)
    except OSError as error:
        raise TerminalError(f"cannot be written: {error.strerror}", where=str(file), hint="name a new file") from None
    sys.stderr.write(f"{len(rows):,} rows in {file}\n")


@quarantine_app.command()
def release(
    use_case: UseCaseArgument,
    dataset: DatasetArgument,
    partition: PartitionArgument,
    file: Annotated[Path | None, typer.Option("--file", help="Rows fixed by hand, from `quarantine show`.")] = None,
    as_is: Annotated[bool, typer.Option("--as-is", help="Publish rows as they are; needs --rule and --why.")] = False,
    rule: Annotated[
        list[str] | None, typer.Option("--rule", help="Rule to waive; may be given more than once.")
    ] = None,
    why: Annotated[str, typer.Option("--why", help="Reason, kept in the ledger.")] = "",
) -> None:
    """Publish a partition anew with rows that were fixed by hand, or with rules waived for them."""
    from mlforge.ingest.fixes import fixed_rows, rows_as_they_are
    from mlforge.ingest.quarantine import use_case_dataset
    from mlforge.spec import load_use_case

    if (file is None) == (not as_is):
        raise typer.BadParameter("give --file, or --as-is with --rule and --why")
    if as_is and not (rule and why):
        raise typer.BadParameter("--as-is needs --rule and --why: both are kept in the ledger")
    loaded = load_use_case(use_case)
    use_case_dataset(loaded, dataset)
    if file is not None:
        releases: Sequence[Any] = fixed_rows(loaded, dataset, partition, file)
    else:
        releases = rows_as_they_are(loaded, dataset, partition, rule or [])
    _say(loaded, _publish(loaded, dataset, partition, releases, why or "fixed by hand"), len(releases))


def _publish(use_case: UseCase, dataset: str, partition: str, releases: Sequence[Any], why: str) -> PublishedPartition:
    from mlforge.refs import STATIC_KEY
    from mlforge.stages import StageRun, release_quarantined

    # A static dataset has no day; its stages look at none.
    days = use_case.partitions(str(use_case.schedule.start) if partition == STATIC_KEY else partition)
    return release_quarantined(
        StageRun(use_case=use_case, days=days, dataset=dataset, who=getpass.getuser(), why=why), releases
    )


def _say(use_case: UseCase, done: PublishedPartition, released: int) -> None:
    from rich.console import Console

    from mlforge.features.stale import refreshable_keys

    console = Console(soft_wrap=True)
    console.print(
        f"{released:,} rows released; {done.dataset} {done.partition_key} has {done.rows:,} rows now, "
        f"{done.rows_quarantined:,} are still in quarantine"
    )
    stale = refreshable_keys(use_case)
    if stale:
        console.print(
            f"{len(stale):,} feature partitions are stale by now, {stale[0]} to {stale[-1]}: the next run of "
            f"{use_case.name}.data refreshes them, or run {use_case.name}.refresh for the range"
        )


@quarantine_app.command()
def released(use_case: UseCaseArgument, as_json: JsonOption = False) -> None:
    """List what was released, by whom and why, and whether the source still brings those rows."""
    from rich.console import Console
    from rich.table import Table

    from mlforge.ingest.quarantine import released_rows
    from mlforge.spec import load_use_case

    rows = released_rows(load_use_case(use_case))
    if as_json:
        for each in rows:
            sys.stdout.write(json.dumps(each, default=str) + "\n")
        return
    table = Table("release", "dataset", "partition", "how", "who", "why", "when (UTC)", "state")
    for each in rows:
        table.add_row(
            *(str(each["release_id"]), each["dataset"], each["partition_key"], each["how"], each["who"], each["why"]),
            f"{each['released_at']:%Y-%m-%d %H:%M}",
            each["state"],
        )
    Console().print(table)


def _print_table(rows: Sequence[QuarantinedRow]) -> None:
    """Show each row upright: it is too wide for a terminal."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    for row in rows:
        table = Table("column", "value", title=f"row_id {row.row_id}: {', '.join(row.rules)}", title_justify="left")
        for name, value in row.row.items():
            table.add_row(name, "" if value is None else str(value))
        console.print(table)


def _as_csv(rows: Sequence[QuarantinedRow]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["row_id", "rules", *rows[0].row])
    for row in rows:
        writer.writerow([row.row_id, " ".join(row.rules), *row.row.values()])
    return buffer.getvalue()


def _as_json(rows: Sequence[QuarantinedRow]) -> str:
    return "".join(json.dumps({"row_id": row.row_id, "rules": row.rules, **row.row}) + "\n" for row in rows)
