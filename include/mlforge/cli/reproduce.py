"""`mlforge reproduce`: train a registered model again, and compare the bytes."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from mlforge.training.reproduce import Recorded, Reproduction


def reproduce(
    version: Annotated[int, typer.Argument(help="Number of the model version, see MLflow or `mlforge models list`.")],
    use_case: Annotated[str, typer.Option("--use-case", "-u", help="Name of the use case.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Train a model version again from its snapshot: the same bytes, or what differs; exit status 0 or 1.

    Nothing is logged or registered. Inputs that differ from those recorded are named before training.
    """
    from mlforge.spec import load_use_case
    from mlforge.training.reproduce import read_recorded, reproduce_model

    loaded = load_use_case(use_case)
    recorded = read_recorded(loaded, version)
    console = Console(soft_wrap=True, highlight=False)
    if not as_json:
        _say_inputs(console, recorded)
    done = reproduce_model(loaded, recorded)
    if as_json:
        sys.stdout.write(json.dumps(done.document(), indent=2) + "\n")
    else:
        _say_result(console, done)
    if not done.same:
        raise typer.Exit(1)


def _say_inputs(console: Console, recorded: Recorded) -> None:
    given = recorded.origin.training_set
    console.print(
        f"version {recorded.version} of {given.use_case}: trained on {given.rows:,} rows up to {given.partition_key}, "
        f"snapshot {given.content_hash[:12]}, run {recorded.run_id}"
    )
    if not recorded.differing:
        console.print("inputs: the same as recorded")
        return
    table = Table("input", "recorded", "now", title="inputs that differ", title_justify="left")
    for kind, (before, now) in recorded.differing.items():
        table.add_row(kind, before, now)
    console.print(table)
    _say_hints(console, recorded)


def _say_hints(console: Console, recorded: Recorded) -> None:
    if recorded.hints:
        console.print("to bring the recorded ones back:")
        for hint in recorded.hints:
            console.print(f"    {hint}", markup=False)


def _say_result(console: Console, done: Reproduction) -> None:
    if done.same:
        console.print(f"[green]the same bytes[/green]: SHA-256 {done.content_hash} (fitted in {done.seconds:.1f} s)")
        return
    console.print(f"[red]another model[/red]: {done.content_hash}, recorded {done.recorded.origin.content_hash}")
    for part in done.parts:
        console.print(f"  {part}", markup=False)
    if not done.recorded.differing:
        console.print("no recorded input differs: compare `environment.json` of the run with this machine")
