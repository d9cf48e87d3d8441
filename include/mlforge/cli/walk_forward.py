"""`mlforge walk-forward …`: walk through history, and see which policy of retraining pays."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from mlforge.spec import UseCase
    from mlforge.walk_forward.summary import Summary

_group = typer.Typer(
    help="Walk through history beside what is live: train as of each week, score it, see which policy pays.",
    no_args_is_help=True,
)
_console = Console()

UseCaseArgument = Annotated[str, typer.Argument(metavar="USE_CASE", help="Name of the use case.")]
WalkOption = Annotated[
    str | None, typer.Option("--walk", help="Name of the walk; that of the present settings if none.")
]


def register(app: typer.Typer) -> None:
    """Add the group to the command."""
    app.add_typer(_group, name="walk-forward")


@_group.command("run")
def run(
    use_case: UseCaseArgument,
    first: Annotated[
        str | None, typer.Option("--from", help="First day of the first week; the first there is.")
    ] = None,
    last: Annotated[str | None, typer.Option("--to", help="First day of the last week; the last there is.")] = None,
    walk: WalkOption = None,
) -> None:
    """Walk week by week, and write the page after each. A week that has its scores is not computed again."""
    from mlforge.spec import load_use_case
    from mlforge.walk_forward.report import write_report
    from mlforge.walk_forward.walk import TooEarlyError, run_week
    from mlforge.walk_forward.weeks import first_week, last_week, parse_weeks

    loaded = load_use_case(use_case)
    begin, end = first or first_week(loaded).key, last or last_week(loaded).key
    report = None
    for week in parse_weeks(loaded, f"{begin}..{end}"):
        try:
            scored = run_week(loaded, week.key, walk=walk)
        except TooEarlyError as error:
            _console.print(f"{week.key}  skipped: {error}", style="yellow", markup=False, highlight=False)
            continue
        report = write_report(loaded, scored)
        scores = "  ".join(f"{policy} {value:.4f}" for policy, value in scored.scores.items())
        _console.print(f"{week.key}  {scored.metric}  {scores}", markup=False, highlight=False)
    if report is not None:
        _console.print(f"{report.conclusion}\nwalk {report.walk}, page {report.uri}", markup=False, highlight=False)


@_group.command("show")
def show(
    use_case: UseCaseArgument,
    walk: WalkOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, with every week.")] = False,
) -> None:
    """Show what each policy has scored and cost, and which one pays."""
    from mlforge.spec import load_use_case
    from mlforge.walk_forward import ledger
    from mlforge.walk_forward.report import find_walk
    from mlforge.walk_forward.summary import duration, summarize

    loaded = load_use_case(use_case)
    found = find_walk(loaded, walk)
    summary = summarize(found, ledger.weeks_of(found))
    if as_json:
        sys.stdout.write(json.dumps(_as_json(found.name, summary), indent=2) + "\n")
        return
    table = Table("policy", f"mean {summary.metric}", "against never", "95% interval", "trainings", "time")
    for each in summary.policies:
        against = each.against
        table.add_row(
            each.policy,
            f"{each.mean:.4f}",
            f"{against.difference:+.4f}" if against else "",
            f"{against.lower:+.4f} to {against.upper:+.4f}" if against else "",
            str(each.trainings),
            duration(each.seconds),
        )
    _console.print(f"walk {found.name} of {loaded.name}: {len(summary.weeks)} weeks, {summary.rows:,} rows")
    _console.print(table)
    _console.print(summary.conclusion, markup=False, highlight=False)
    _say_other_walks(loaded, found.name)


@_group.command("page")
def page(
    use_case: UseCaseArgument,
    html: Annotated[Path, typer.Option("--html", help="File to write.")],
    walk: WalkOption = None,
    price: Annotated[
        float | None, typer.Option("--price-per-hour", min=0, help="What an hour of the machine costs.")
    ] = None,
) -> None:
    """Write the page of a walk."""
    from mlforge.spec import load_use_case
    from mlforge.walk_forward import ledger
    from mlforge.walk_forward.page import walk_page
    from mlforge.walk_forward.report import find_walk

    loaded = load_use_case(use_case)
    found = find_walk(loaded, walk)
    paid = loaded.walk_forward.price_per_hour if price is None else price
    html.write_text(walk_page(loaded, found, ledger.weeks_of(found), price_per_hour=paid), encoding="utf-8")
    _console.print(f"walk {found.name}: {html}", markup=False, highlight=False)


def _say_other_walks(use_case: UseCase, name: str) -> None:
    from mlforge.walk_forward import ledger

    others = [walk.name for walk in ledger.list_walks(use_case.name) if walk.name != name]
    if others:
        _console.print(f"other walks: {', '.join(others)}", markup=False, highlight=False)


def _as_json(name: str, summary: Summary) -> dict[str, object]:
    return {
        "walk": name,
        "metric": summary.metric,
        "rows": summary.rows,
        "winner": summary.winner,
        "conclusion": summary.conclusion,
        "policies": {
            each.policy: {
                "mean": each.mean,
                "against_never": None if each.against is None else vars(each.against),
                "trainings": each.trainings,
                "seconds": each.seconds,
                "weeks": dict(zip(summary.weeks, summary.values[each.policy], strict=True)),
            }
            for each in summary.policies
        },
    }
