"""Bentos of this installation: where they lie, and how one is built in a process of its own.

Run as a module it is that process: `python -m mlforge.serving.bento FOLDER NAME VERSION` with BENTOML_HOME set. BentoML
reads its home once at import and keeps what it imported, so that two builds must not share a process.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from mlforge.errors import ServingError
from mlforge.scoring import FormatName, model_format
from mlforge.serving.manifest import MODEL_FOLDER
from mlforge.settings import get_settings

SERVICE = "service:ReleaseService"
BUILD_SECONDS = 180
# What a release's server imports; its image installs these versions.
_REQUIREMENTS = (
    "bentoml", "feast", "numpy", "psycopg", "psycopg-binary", "psycopg-pool", "pydantic", "pydantic-settings",
    "pyyaml",
)  # fmt: skip
# What reads a model of each format.
_MODEL_REQUIREMENTS: Mapping[FormatName, tuple[str, ...]] = {
    "xgboost": ("xgboost",),
    "lightgbm": ("lightgbm",),
    "sklearn": ("scikit-learn", "skops"),
}


def bentoml_home() -> Path:
    """Return the directory of BentoML's store."""
    return get_settings().home / "bentoml"


def bento_path(tag: str) -> Path:
    """Return where a bento lies, whether it is there or not.

    Args:
        tag: `name:version`.

    Raises:
        ServingError: The tag is none.
    """
    name, _, version = tag.partition(":")
    if not name or not version or "/" in tag or version.startswith("."):
        raise ServingError(f"{tag!r} is no tag of a bento", hint="a tag is name:version")
    return bentoml_home() / "bentos" / name / version


def bento_is_built(tag: str) -> bool:
    """Return whether the bento is there; one that is there is whole."""
    return (bento_path(tag) / "bento.yaml").is_file()


def build_bento(folder: Path, tag: str) -> Path:
    """Build a bento from a folder of its files and return its path; it appears whole or not at all.

    Args:
        folder: Has `service.py` and all that it reads.
        tag: `name:version`.

    Raises:
        ServingError: BentoML refuses; with the end of what it said.
    """
    target = bento_path(tag)
    name, _, version = tag.partition(":")
    bentoml_home().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".building-", dir=bentoml_home()) as unfinished:
        environment = {**os.environ, **quiet_environment(), "BENTOML_HOME": unfinished}
        (folder / "requirements.txt").write_text(requirements(model_format(folder / MODEL_FOLDER)), encoding="utf-8")
        try:
            done = subprocess.run(
                [sys.executable, "-m", "mlforge.serving.bento", str(folder), name, version],
                env=environment,
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=BUILD_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise ServingError(f"building the bento {tag} takes more than {BUILD_SECONDS} s") from error
        if done.returncode != 0:
            raise ServingError(
                f"the bento {tag} cannot be built",
                evidence=(done.stderr or done.stdout).strip().splitlines()[-3:],
                hint="see the evidence",
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        built = Path(unfinished) / "bentos" / name / version
        try:
            built.rename(target)
        except OSError:
            # Another process was first; what it built is the same.
            if not bento_is_built(tag):
                shutil.rmtree(target, ignore_errors=True)
                built.rename(target)
    return target


def quiet_environment() -> dict[str, str]:
    """Return what keeps BentoML from reporting its use, and XGBoost from spinning."""
    return {
        "BENTOML_DO_NOT_TRACK": "True",
        "DO_NOT_TRACK": "1",
        "OMP_WAIT_POLICY": "PASSIVE",
        "OMP_NUM_THREADS": "1",
        "PYTHONUNBUFFERED": "1",
        "BENTOML_ENABLE_FEATURES": "no_image",
    }


def requirements(model: FormatName) -> str:
    """Return the installed versions of what the server of a model imports, one pin a line.

    Args:
        model: In which format it is kept.
    """
    from importlib.metadata import version

    return "".join(f"{package}=={version(package)}\n" for package in (*_REQUIREMENTS, *_MODEL_REQUIREMENTS[model]))


def _build(folder: str, name: str, version: str) -> None:
    import bentoml

    bentoml.build(
        SERVICE,
        name=name,
        version=version,
        build_ctx=folder,
        include=["*"],
        description=f"Release of {name}, made by MLForge.",
        python={"requirements_txt": "requirements.txt", "lock_packages": False},
    )


if __name__ == "__main__":
    _build(*sys.argv[1:])
