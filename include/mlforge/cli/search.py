"""`mlforge search …`: what searches for parameters have tried and found."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from mlforge.training.search.overview import StudyOverview
    from mlforge.training.search.summaries import TrialSummary

search_app = typer.Typer(help="Searches for parameters: what was tried and found.", no_args_is_help=True)
_console = Console()

UseCaseArgument = Annotated[str, typer.Argument(help="Name of the use case.")]
LimitOption = Annotated[int, typer.Option(help="How many of the newest studies.", min=1)]
TrialsOption = Annotated[bool, typer.Option("--trials", help="List the newest study's trials too.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]


@search_app.callback()
def _about() -> None:
    """Searches for parameters: what was tried and found."""


@search_app.command("show")
def show(
    use_case: UseCaseArgument, limit: LimitOption = 5, trials: TrialsOption = False, as_json: JsonOption = False
) -> None:
    """Show a use case's studies, newest first: trials, the best one, what was chosen, which parameters matter."""
    from mlforge.spec import load_use_case
    from mlforge.training.search.overview import read_studies

    name = load_use_case(use_case).name
    studies = read_studies(name, limit=limit)
    if as_json:
        sys.stdout.write(json.dumps([_json(study) for study in studies]) + "\n")
        return
    if not studies:
        _console.print(f"{name} has not searched yet; `training.search` in its use_case.yaml asks for it")
        return
    _print_studies(studies)
    _print_newest(studies[0])
    if trials:
        _print_trials(studies[0].trials)


def _print_studies(studies: list[StudyOverview]) -> None:
    table = Table("training set / settings", "partition", "started (UTC)", "trials", "best", "as it was", "chosen")
    for study in studies:
        best = study.best
        table.add_row(
            study.name.partition("/")[2],
            study.partition_key,
            f"{study.started:%Y-%m-%d %H:%M}" if study.started else "",
            _states(study),
            f"{best.value:.6f}" if best is not None else "",
            ", ".join(f"{each.value:.6f}" for each in study.trials if each.default and each.state == "complete"),
            _chosen(study),
        )
    _console.print(table)


def _chosen(study: StudyOverview) -> str:
    if study.finding is None:
        return "not yet"
    columns = len(study.finding.plan.features)
    return f"{study.finding.plan.family}{f', {columns} columns' if columns else ''}"


def _print_newest(study: StudyOverview) -> None:
    best = study.best
    if best is None:
        return
    table = Table("parameter", f"trial {best.number} ({best.family})", "matters", title="best of the newest study")
    for parameter, value in best.parameters.items():
        share = study.importance.get(parameter, study.importance.get(f"{best.family}.{parameter}"))
        table.add_row(parameter, _value(value), "" if share is None else f"{share:.0%}")
    if best.parameters:
        _console.print(table)
    for note in study.finding.notes if study.finding is not None else ():
        _console.print(f"- {note}", highlight=False)


def _print_trials(trials: tuple[TrialSummary, ...]) -> None:
    table = Table("trial", "state", "family", "loss", "seconds", "parameters, or why it ended")
    for trial in trials:
        about = trial.reason or ("as it was" if trial.default else _listed(trial.parameters))
        value = "" if trial.value is None else f"{trial.value:.6f}"
        seconds = "" if trial.seconds is None else f"{trial.seconds:.1f}"
        table.add_row(str(trial.number), trial.state, trial.family, value, seconds, about)
    _console.print(table)


def _states(study: StudyOverview) -> str:
    from mlforge.training.search.summaries import count_states

    return ", ".join(f"{count} {state}" for state, count in count_states(study.trials).items())


def _listed(parameters: dict[str, Any]) -> str:
    return ", ".join(f"{name} {_value(value)}" for name, value in parameters.items())


def _value(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _json(study: StudyOverview) -> dict[str, Any]:
    from dataclasses import asdict

    from mlforge.training.search.summaries import count_states

    finding = study.finding
    return {
        "study": study.name,
        "partition_key": study.partition_key,
        "started": study.started.isoformat() if study.started else None,
        "states": count_states(study.trials),
        "best": asdict(study.best) if study.best is not None else None,
        "importance": study.importance,
        "finding": None
        if finding is None
        else {
            "id": finding.finding_id,
            "family": finding.plan.family,
            "parameters": dict(finding.plan.parameters),
            "features": list(finding.plan.features),
            "value": finding.value,
            "notes": list(finding.notes),
            "found_at": finding.found_at.isoformat(),
        },
        "trials": [asdict(trial) for trial in study.trials],
    }
