"""A checkout of a test's own, for use cases that a test scaffolds: nothing is left in the repository."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlforge.settings import get_settings
from mlforge.spec import load_use_case

REPOSITORY = Path(__file__).resolve().parents[1]
# What the stages read of a checkout, beside use cases.
_SHARED = ("feature_repo/feature_store.yaml", "bentos/service.py")


@contextmanager
def own_root(root: Path) -> Iterator[Path]:
    """Let the settings of this process point at a new checkout, with the same home as before."""
    home = get_settings().home
    for name in _SHARED:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / name, root / name)
    before = {name: os.environ.get(name) for name in ("MLFORGE_ROOT", "MLFORGE_HOME")}
    os.environ.update(MLFORGE_ROOT=str(root), MLFORGE_HOME=str(home))
    _forget()
    try:
        yield root
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        _forget()


def _forget() -> None:
    get_settings.cache_clear()
    load_use_case.cache_clear()
