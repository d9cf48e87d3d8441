"""What a model is made from besides its rows: one hash per kind of input, so that a difference can be named."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mlforge.refs import code_version, hash_files
from mlforge.settings import get_settings
from mlforge.spec import UseCase


def fingerprints(use_case: UseCase) -> dict[str, str]:
    """Return kind of input → its hash, or its version where it has one.

    `contracts`, `features` (with the spine and the request), `settings` (of training), `model` (model.py), `library`
    (MLForge's own code), `lock` (uv.lock), `python` and `platform`.
    """
    folder = use_case.folder
    request = use_case.model_dump(mode="json", include={"features", "on_demand", "prediction", "feature_service"})
    return {
        "contracts": hash_files(list(folder.glob("contracts/*.yaml"))),
        "features": _hash([_files(_feature_files(use_case)), request, use_case.sql(use_case.training.spine)]),
        "settings": _hash(use_case.model_dump(mode="json", include={"task", "training"})),
        "model": hash_files([folder / "model.py"]),
        "library": code_version(),
        "lock": _files([get_settings().root / "uv.lock"]),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}".lower(),
    }


def differences(before: dict[str, str], now: dict[str, str]) -> dict[str, tuple[str, str]]:
    """Return kind → (before, now) of each input that both name and that differs."""
    return {kind: (before[kind], now[kind]) for kind in before if kind in now and before[kind] != now[kind]}


def _feature_files(use_case: UseCase) -> Iterable[Path]:
    yield from use_case.folder.glob("features/*.sql")
    yield use_case.folder / "on_demand.py"
    yield get_settings().root / "feature_repo" / f"{use_case.name}.py"


def _files(paths: Iterable[Path]) -> str:
    return hash_files([path for path in paths if path.is_file()])


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]
