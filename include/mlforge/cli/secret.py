"""Secrets for airflow.cfg's `_cmd` keys, fast: this module imports neither Typer nor a service."""

from __future__ import annotations

import sys


def print_secret(name: str) -> int:
    """Write a secret to standard output and return the exit status."""
    from mlforge.errors import MLForgeError
    from mlforge.services.environment import airflow_secret
    from mlforge.settings import get_settings

    try:
        sys.stdout.write(airflow_secret(get_settings(), name))
    except MLForgeError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0
