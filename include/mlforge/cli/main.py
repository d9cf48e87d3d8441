"""The command `mlforge`: services, stages of a use case, and what steers releases.

Each module of this package adds its own commands; nothing heavy is imported before a command runs.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import typer

MODULES = (
    "services",
    "demo",
    "stages",
    "registry",
    "keys",
    "features",
    "containers",
    "contract",
    "data",
    "init",
    "lineage",
    "quarantine",
    "profile",
    "search",
    "reproduce",
    "walk_forward",
    "retraining",
)
_NAMES = {"stages_app": "stage"}
_SHORTCUTS = {"registry": ("rollback",)}


def main() -> None:
    """Run the command; an error of ours is one red line and exit status 1."""
    if sys.argv[1:3] == ["service", "secret"] and len(sys.argv) == 4:
        # Airflow runs this several times per process: it takes a tenth of the time without Typer.
        from mlforge.cli.secret import print_secret

        sys.exit(print_secret(sys.argv[3]))
    sys.exit(_run())


def _run() -> int:
    from mlforge.errors import MLForgeError

    try:
        build_app()(standalone_mode=True)
    except MLForgeError as error:
        from rich.console import Console

        Console(stderr=True, soft_wrap=True).print(str(error), style="red", markup=False, highlight=False)
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; run the same command again to go on\n")
        return 130
    return 0


def build_app() -> typer.Typer:
    """Return the command with all sub-commands.

    A module gives `register(app)`, groups as Typer apps named `<group>_app`, or a function named like the module.
    """
    import typer

    app = typer.Typer(
        name="mlforge",
        help="Models through their whole life on Apache Airflow.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    for name in MODULES:
        module = _module(name)
        if module is None:
            continue
        _register(app, name, module)
    return app


def _register(app: typer.Typer, name: str, module: ModuleType) -> None:
    if hasattr(module, "register"):
        module.register(app)
        return
    for attribute in [each for each in vars(module) if each.endswith("_app")]:
        app.add_typer(getattr(module, attribute), name=_NAMES.get(attribute, attribute.removesuffix("_app")))
    for command in (name, *_SHORTCUTS.get(name, ())):
        if callable(getattr(module, command, None)):
            app.command(command)(getattr(module, command))


def _module(name: str) -> ModuleType | None:
    try:
        return importlib.import_module(f"mlforge.cli.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"mlforge.cli.{name}":
            raise
        return None


if __name__ == "__main__":
    main()
