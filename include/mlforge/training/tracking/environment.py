"""On what a model was trained: Python, platform, libraries, threads, commit."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from mlforge.settings import get_settings
from mlforge.training.estimators.base import THREADS

_LIBRARIES = ("mlflow", "numpy", "pandas", "pyarrow", "scikit-learn", "skops", "xgboost", "lightgbm", "optuna")
# What a candidate is made from lies there.
_SOURCES = ("include", "feature_repo", "uv.lock")
_COMMIT, _STATE = "mlflow.source.git.commit", "mlforge.git_state"


def environment(fingerprints: Mapping[str, str]) -> dict[str, Any]:
    """Return what a model was trained on, as JSON values.

    Args:
        fingerprints: See `mlforge.fingerprints`; those of the lock, Python and the platform are told here too.
    """
    return {
        **{kind: fingerprints.get(kind, "") for kind in ("python", "platform", "lock")},
        "system": platform.platform(),
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "threads": {"fit": THREADS, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "")},
        "libraries": library_versions(),
    }


def library_versions() -> dict[str, str]:
    """Return library → version of those that make a model or keep it."""
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def git_tags() -> dict[str, str]:
    """Return the commit of the checkout, as MLflow names it, and whether files differ from it; nothing without git."""
    root = get_settings().root
    if shutil.which("git") is None or not (root / ".git").exists():
        return {}
    commit = _git(root, "rev-parse", "HEAD")
    if not commit:
        return {}
    changed = _git(root, "status", "--porcelain", "--", *_SOURCES)
    return {_COMMIT: commit, _STATE: "changed since the commit" if changed else "as committed"}


def _git(root: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
