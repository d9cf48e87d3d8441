"""`mlforge models …`: who is champion, who was, and how to change it."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from mlforge.refs import Release

models_app = typer.Typer(help="Champions: list, history, promote, roll back.", no_args_is_help=True)
_console = Console()

UseCaseOption = Annotated[str, typer.Option("--use-case", "-u", help="Name of the use case.")]
WhyOption = Annotated[str, typer.Option("--why", help="Reason, kept in the ledger.")]


@models_app.command("list")
def list_champions() -> None:
    """Show the champion of every use case, and what answers."""
    from mlforge.db import ledger
    from mlforge.spec import list_use_cases

    table = Table("use case", "champion", "release", "bento", "trained on", "live release")
    for name in list_use_cases():
        champion, live = ledger.champion(name), ledger.live_deployment(name)
        table.add_row(
            name,
            f"version {champion.model_version}" if champion else "none yet",
            str(champion.release_id) if champion else "",
            champion.bento if champion else "",
            champion.partition_key if champion else "",
            str(live.release_id) if live else "",
        )
    _console.print(table)


@models_app.command("history")
def history(
    use_case: UseCaseOption, limit: Annotated[int, typer.Option(help="How many of the newest releases.")] = 20
) -> None:
    """Show a use case's releases, newest first: who made which model champion, when and why."""
    from mlforge.db import ledger
    from mlforge.spec import load_use_case

    table = Table("release", "when (UTC)", "kind", "version", "follows", "who", "why")
    for record in ledger.list_releases(load_use_case(use_case).name, limit=limit):
        release = record.release
        table.add_row(
            str(release.release_id),
            f"{record.released_at:%Y-%m-%d %H:%M:%S}",
            record.kind,
            str(release.model_version),
            str(release.parent_id or ""),
            record.who,
            record.why,
        )
    _console.print(table)


@models_app.command("promote")
def promote(
    use_case: UseCaseOption,
    version: Annotated[int, typer.Option("--version", help="Model version that the gate passed.")],
    why: WhyOption = "by hand",
) -> None:
    """Make a model version champion that the gate has passed."""
    from mlforge.registry import find_decision, promote_candidate
    from mlforge.spec import load_use_case

    loaded = load_use_case(use_case)
    decision = find_decision(loaded, version)
    _say(promote_candidate(loaded, decision, who=getpass.getuser(), why=why))


@models_app.command("rollback")
def rollback(use_case: UseCaseOption, why: WhyOption = "by hand") -> None:
    """Make the model before the champion's champion again."""
    from mlforge.registry import rollback_release
    from mlforge.spec import load_use_case

    _say(rollback_release(load_use_case(use_case), who=getpass.getuser(), why=why))


@models_app.command("reconcile")
def reconcile(use_case: UseCaseOption) -> None:
    """Let MLflow's alias `champion` name what the ledger says."""
    from mlforge.registry import reconcile_releases
    from mlforge.spec import load_use_case

    changed = reconcile_releases(load_use_case(use_case))
    _console.print("the alias was repaired" if changed else "the alias is right")


def _say(release: Release) -> None:
    model = f"version {release.model_version}, release {release.release_id} ({release.bento})"
    _console.print(f"champion of {release.use_case}: {model}")
