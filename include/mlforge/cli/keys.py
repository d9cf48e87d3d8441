"""Commands for API keys and for tracing an answer."""

from __future__ import annotations

from typing import Annotated

import typer

keys_app = typer.Typer(no_args_is_help=True, help="API keys for the gateway.")


def register(app: typer.Typer) -> None:
    """Add the commands to `mlforge`."""
    app.add_typer(keys_app, name="keys")
    app.command()(trace)


@keys_app.command()
def create(
    name: Annotated[str, typer.Argument(help="who it is for; receipts name it")],
    use_case: Annotated[list[str], typer.Option(help="what it may be used for; may be given more than once")],
    days: Annotated[int, typer.Option(help="how long it is valid")] = 90,
) -> None:
    """Issue a key and print it; it cannot be shown again."""
    from mlforge.serving.keys import issue_key
    from mlforge.spec import load_use_case

    scopes = [f"{load_use_case(each).name}:predict" for each in use_case]
    typer.echo(issue_key(name, scopes, days))


@keys_app.command("list")
def list_all() -> None:
    """Show every key that was issued."""
    from rich.console import Console
    from rich.table import Table

    from mlforge.serving.keys import list_keys

    table = Table("name", "scopes", "created", "expires", "state")
    for key in list_keys():
        state = "revoked" if key.revoked_at else "valid" if key.usable else "expired"
        days = (f"{time:%Y-%m-%d %H:%M} UTC" for time in (key.created_at, key.expires_at))
        table.add_row(key.name, " ".join(key.scopes), *days, state)
    Console().print(table)


@keys_app.command()
def revoke(name: Annotated[str, typer.Argument(help="the key's name")]) -> None:
    """Revoke a key; the gateway refuses it from then on."""
    from mlforge.errors import ServingError
    from mlforge.serving.keys import revoke_key

    if not revoke_key(name):
        raise ServingError(f"there is no valid key {name!r}", hint="see `mlforge keys list`")
    typer.echo(f"{name} is revoked")


def trace(receipt_id: Annotated[str, typer.Argument(help="receipt_id of an answer")]) -> None:
    """Show what an answer rests on: release, model, features, training set, publications."""
    from rich.console import Console

    from mlforge.serving.trace import trace_receipt

    Console().print_json(data=trace_receipt(receipt_id), default=str)
