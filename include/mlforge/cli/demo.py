"""The command `mlforge demo`."""

from __future__ import annotations


def demo() -> None:
    """Run the main job on real flights, through Airflow and the gateway; leaves the services up."""
    from rich.console import Console

    from mlforge.cli.services import up
    from mlforge.demo import run_demo
    from mlforge.settings import get_settings

    up()
    run_demo(get_settings(), Console(highlight=False))
