"""Installations of tests: a home below /tmp, free ports, and settings that this process uses meanwhile."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlforge.settings import Settings, get_settings
from processes import free_port


@contextmanager
def new_installation() -> Iterator[Settings]:
    """Give an empty installation; its settings are this process's settings, and those from before come back."""
    home = Path(tempfile.mkdtemp(prefix="mlforge-test-"))
    home.chmod(0o711)
    before = _take_settings()
    os.environ["MLFORGE_HOME"] = str(home)
    for name in ("POSTGRES", "AIRFLOW", "MLFLOW", "GATEWAY", "GATEWAY_ADMIN"):
        os.environ[f"MLFORGE_{name}_PORT"] = str(free_port())
    get_settings.cache_clear()
    yield get_settings()
    _take_settings()
    os.environ.update(before)
    get_settings.cache_clear()
    shutil.rmtree(home, ignore_errors=True)


def _take_settings() -> dict[str, str]:
    return {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("MLFORGE_")}
