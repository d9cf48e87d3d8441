"""`mlforge models …`: who is champion, who was, what each version is, and how to change it."""

from __future__ import annotations

import getpass
import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from datetime import datetime

    from mlforge.errors import MLForgeError
    from mlforge.refs import Release
    from mlforge.spec import UseCase

models_app = typer.Typer(
    help="Champions and versions: list, show, compare, history, promote, roll back.", no_args_is_help=True
)

UseCaseOption = Annotated[str, typer.Option("--use-case", "-u", help="Name of the use case.")]
UseCaseArgument = Annotated[str, typer.Argument(help="Name of the use case.")]
WhyOption = Annotated[str, typer.Option("--why", help="Reason, kept in the ledger.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
AtOption = Annotated[
    str | None,
    typer.Option("--at", help="As it was then: a time with its zone, 2026-03-31T14:30Z, or the end of a day (UTC)."),
]
_NAMES = "A model version as 7, a semantic version as 1.2.0, a release as r12, or `champion`."


@models_app.command("list")
def list_models(
    use_case: Annotated[str | None, typer.Option("--use-case", "-u", help="Only this use case.")] = None,
    versions: Annotated[bool, typer.Option("--versions", help="All model versions, not the champions.")] = False,
    at: AtOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the champion of every use case and what answers behind the gateway; or every model version."""
    from mlforge.cli.model_tables import print_champions, print_versions
    from mlforge.registry.catalog import list_versions

    moment, chosen = _moment(at), _use_cases(use_case)
    if versions:
        found = [version for each in chosen for version in list_versions(each, at=moment)]
        if as_json:
            _print_json(found)
        else:
            print_versions(found)
        return
    rows = [_champion(each, moment) for each in chosen]
    if as_json:
        _print_json(rows)
    else:
        print_champions(rows, moment)


@models_app.command()
def show(
    use_case: UseCaseArgument,
    version: Annotated[str, typer.Argument(help=_NAMES)] = "champion",
    at: AtOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a version: training set, scores, what the gate looked at, parameters, inputs, who released it and why."""
    from mlforge.cli.model_tables import print_details
    from mlforge.registry.details import describe_version
    from mlforge.spec import load_use_case

    found = describe_version(load_use_case(use_case), version, at=_moment(at))
    if as_json:
        _print_json(found)
    else:
        print_details(found)


@models_app.command()
def compare(
    use_case: UseCaseArgument,
    first: Annotated[str, typer.Argument(help=_NAMES)],
    second: Annotated[str, typer.Argument(help=_NAMES)],
    as_json: JsonOption = False,
) -> None:
    """Show two versions side by side: scores, training windows, and the parameters, inputs and features that differ."""
    from mlforge.cli.model_tables import print_comparison
    from mlforge.registry.details import compare_versions
    from mlforge.spec import load_use_case

    found = compare_versions(load_use_case(use_case), first, second)
    if as_json:
        _print_json(found)
    else:
        print_comparison(found)


@models_app.command()
def history(
    use_case: UseCaseOption,
    limit: Annotated[int, typer.Option(help="How many of the newest releases.", min=1)] = 20,
    at: AtOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a use case's releases, newest first: who made which model champion, when and why; and repairs of MLflow."""
    from mlforge.cli.model_tables import print_history
    from mlforge.db import ledger
    from mlforge.registry.repairs import list_repairs

    moment, loaded = _moment(at), _use_cases(use_case)[0]
    releases = ledger.list_releases(loaded.name, limit=limit, at=moment)
    repairs = list_repairs(loaded.name, limit=limit, at=moment)
    live = ledger.live_deployment(loaded.name, moment)
    if as_json:
        _print_json({"releases": releases, "repairs": repairs, "live": live})
    else:
        print_history(releases, repairs, live)


@models_app.command()
def promote(
    use_case: UseCaseOption,
    version: Annotated[str, typer.Option("--version", help=f"What the gate has passed. {_NAMES}")],
    why: WhyOption = "by hand",
    as_json: JsonOption = False,
) -> None:
    """Make a model version champion that the gate has passed; there is no way around the gate."""
    from mlforge.registry import find_decision, promote_candidate
    from mlforge.registry.catalog import find_version, list_versions
    from mlforge.spec import load_use_case

    loaded = load_use_case(use_case)
    number = find_version(list_versions(loaded), version, where=loaded.name).number
    _say(promote_candidate(loaded, find_decision(loaded, number), who=getpass.getuser(), why=why), as_json)


@models_app.command()
def rollback(use_case: UseCaseOption, why: WhyOption = "by hand", as_json: JsonOption = False) -> None:
    """Make the newest model before the champion's that loads champion again."""
    from mlforge.registry import rollback_release
    from mlforge.spec import load_use_case

    _say(rollback_release(load_use_case(use_case), who=getpass.getuser(), why=why), as_json)


@models_app.command()
def reconcile(
    use_case: Annotated[str | None, typer.Option("--use-case", "-u", help="Name of the use case.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every use case.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Let MLflow's alias, tags and files of the champion be what the ledger says; say what was not."""
    from rich.console import Console

    from mlforge.errors import MLForgeError
    from mlforge.registry import reconcile_releases

    if (use_case is None) != everything:
        raise typer.BadParameter("give --use-case NAME, or --all")
    console, repairs = Console(soft_wrap=True), {}
    failed: list[MLForgeError] = []
    for each in _use_cases(use_case):
        try:
            repairs[each.name] = reconcile_releases(each, who=getpass.getuser())
        except MLForgeError as error:
            # The others are put right all the same.
            failed.append(error)
            continue
        for repair in () if as_json else repairs[each.name]:
            console.print(f"{each.name}: {repair.message}", markup=False, highlight=False)
        if not as_json and not repairs[each.name]:
            console.print(f"{each.name}: MLflow shows what the ledger says", markup=False, highlight=False)
    if as_json:
        _print_json(repairs)
    if failed:
        raise _all_of(failed)


def _all_of(errors: list[MLForgeError]) -> MLForgeError:
    from mlforge.errors import TerminalError

    if len(errors) == 1:
        return errors[0]
    return TerminalError(f"{len(errors)} use cases could not be put right", evidence=errors)


def _moment(at: str | None) -> datetime | None:
    from mlforge.cli.instants import parse_instant

    return None if at is None else parse_instant(at)


def _use_cases(name: str | None) -> list[UseCase]:
    from mlforge.spec import list_use_cases, load_use_case

    return [load_use_case(each) for each in ([name] if name else list_use_cases())]


def _champion(use_case: UseCase, moment: datetime | None) -> dict[str, Any]:
    from mlforge.db import ledger

    newest = ledger.list_releases(use_case.name, limit=1, at=moment)
    return {
        "use_case": use_case.name,
        "champion": newest[0] if newest else None,
        "live": ledger.live_deployment(use_case.name, moment),
    }


def _say(release: Release, as_json: bool) -> None:
    from rich.console import Console

    from mlforge.db import ledger

    record = ledger.release_record(release.release_id)
    if as_json:
        _print_json(record)
        return
    model = f"{record.version}, model version {release.model_version}, release {release.release_id} ({release.bento})"
    Console(soft_wrap=True).print(f"champion of {release.use_case}: {model}", markup=False, highlight=False)


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(_plain(value), indent=2, default=str) + "\n")


def _plain(value: Any) -> Any:
    """Return JSON values: dataclasses and references by their fields, times in ISO 8601."""
    from dataclasses import fields, is_dataclass
    from datetime import date

    from pydantic import BaseModel

    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return value.isoformat() if isinstance(value, date) else value
