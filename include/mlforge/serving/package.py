"""Packaging: a release becomes a bento."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from mlforge.errors import ServingError
from mlforge.models import load_model
from mlforge.refs import Release
from mlforge.serving.bento import bento_is_built, bento_path, build_bento
from mlforge.serving.deployments import newest_state, record_state
from mlforge.serving.manifest import MODEL_FOLDER, USE_CASE_FOLDER, Manifest
from mlforge.settings import get_settings
from mlforge.spec import UseCase
from mlforge.tracking import download_model


def package_release(
    use_case: UseCase,
    release: Release,
    *,
    run_id: str | None = None,
    add_files: Callable[[Path], object] | None = None,
) -> Release:
    """Build the bento of a release and return the release; a bento that is there is used again.

    The bento holds the native model, a copy of the use case's folder, the generic service and `release.json`.

    Args:
        use_case: The use case.
        release: Its release.
        run_id: Who does it, for the ledger.
        add_files: Puts more files into the folder of a bento that is built, such as what it reads online.

    Raises:
        ServingError: The bento cannot be built.
        TerminalError: The model is gone.
        ServiceUnavailableError: MLflow does not answer.
    """
    if not bento_is_built(release.bento):
        # Fills the cache from a copy where MLflow has the model no more.
        load_model(use_case, release.uri)
        model = download_model(release.uri)
        with tempfile.TemporaryDirectory(prefix="mlforge-bento-") as folder:
            lay_out(Path(folder), use_case, release, model)
            if add_files is not None:
                add_files(Path(folder))
            build_bento(Path(folder), release.bento)
    if newest_state(release.release_id) in {None, "failed"}:
        record_state(release, "packaged", run_id=run_id, detail={"path": str(bento_path(release.bento))})
    return release


def lay_out(folder: Path, use_case: UseCase, release: Release, model: Path) -> None:
    """Put the files of a bento into an empty folder.

    Raises:
        ServingError: A file that belongs into it is missing.
    """
    service = get_settings().root / "bentos" / "service.py"
    try:
        shutil.copy(service, folder / service.name)
        shutil.copytree(model, folder / MODEL_FOLDER)
        shutil.copytree(
            use_case.folder, folder / USE_CASE_FOLDER / use_case.name, ignore=shutil.ignore_patterns("__pycache__")
        )
    except OSError as error:
        raise ServingError(
            f"the bento's files cannot be gathered: {error.strerror}",
            where=use_case.name,
            evidence=[error.filename],
            hint="check the checkout and free space",
        ) from error
    Manifest.of(use_case, release).write(folder)
