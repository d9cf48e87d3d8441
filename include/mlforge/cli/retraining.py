"""`mlforge retraining …`: who asked for a training, who did not, what would be asked for now, what is decided."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

retraining_app = typer.Typer(
    help="Asking for a training: why, why not, and by when it is decided.", no_args_is_help=True
)
_console = Console()

UseCaseArgument = Annotated[str, typer.Argument(help="Name of the use case.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@retraining_app.command("list")
def list_requests(
    use_case: UseCaseArgument,
    partition: Annotated[str | None, typer.Option("--partition", help="As of this partition only.")] = None,
    limit: Annotated[int, typer.Option("--limit", help="How many at most.", min=1)] = 20,
    as_json: JsonOption = False,
) -> None:
    """List who asked for a training, and who did not and why, newest first."""
    from mlforge import db
    from mlforge.spec import load_use_case
    from mlforge.training.requests import read_requests

    with db.connect() as connection:
        answers = read_requests(connection, load_use_case(use_case).name, partition, limit=limit)
    if as_json:
        return _print_json([{**asdict(answer), "asked": answer.asked} for answer in answers])
    table = Table("when (UTC)", "as of", "cause", "verdict", "reason", "who")
    for answer in answers:
        when = f"{answer.requested_at:%Y-%m-%d %H:%M}"
        style = "green" if answer.asked else None
        row = (when, answer.partition_key, answer.cause, answer.verdict, answer.reason, answer.who)
        table.add_row(*map(escape, row), style=style)
    _console.print(table if answers else f"nobody might have asked for a training of {use_case} yet")
    return None


@retraining_app.command("preview")
def preview(
    use_case: UseCaseArgument,
    partition: Annotated[
        str | None, typer.Option("--partition", help="Of this partition; the newest published one, when not given.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show whether the data run of a partition would ask for a training now, and from when a scheduled one does."""
    from mlforge.db.publications import newest_partition
    from mlforge.errors import TrainingError
    from mlforge.spec import load_use_case
    from mlforge.training.requests import preview_request

    spec = load_use_case(use_case)
    key = partition or newest_partition(use_case)
    if key is None:
        raise TrainingError("nothing is published yet", where=use_case, hint="run the data chain first")
    days = spec.partitions(key)
    answer, asks_from = preview_request(spec, days), spec.retraining.asks_from(days.end)
    if as_json:
        return _print_json(
            {"partition_key": key, "asked": answer.asked, "verdict": answer.verdict, "reason": answer.reason,
             "asks_from": asks_from}
        )  # fmt: skip
    told = f"{key}: {'would be asked for' if answer.asked else 'would not be asked for'}: {answer.reason}"
    _console.print(told, markup=False)
    _console.print(f"a scheduled run asks from {asks_from:%Y-%m-%d %H:%M} UTC on")
    return None


@retraining_app.command("deadline")
def deadline(
    use_case: UseCaseArgument,
    partition: Annotated[
        str | None, typer.Option("--partition", help="Of this partition; the newest one that is due, when not given.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say what is decided about a partition; exit with 1 when a decision is missing. Raises no alert."""
    from mlforge.spec import load_use_case
    from mlforge.training.deadline import due_partition, look_for_decision

    spec = load_use_case(use_case)
    days = spec.partitions(partition) if partition else due_partition(spec, datetime.now(UTC))
    if days is None:
        _console.print(f"{use_case}: no partition has a deadline that has passed; see `retraining.deadline`")
        return
    found = look_for_decision(spec, days)
    if as_json:
        _print_json({"partition_key": found.partition_key, "kept": found.kept, "why": found.why})
    else:
        _console.print(f"{found.partition_key}: {found.why}", style=None if found.kept else "red", markup=False)
    if not found.kept:
        raise typer.Exit(1)


def _print_json(value: Any) -> None:
    _console.print_json(json.dumps(value, default=str))
