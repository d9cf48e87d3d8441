"""Copies of a released model on this machine: in the cache of downloads, and in the bento of each of its releases.

A copy counts only when its content has the hash that the release ledger names.
"""

from __future__ import annotations

import logging
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mlforge.db import connect
from mlforge.errors import MLForgeError
from mlforge.scoring import ScoringModel
from mlforge.settings import get_settings
from mlforge.spec import UseCase
from mlforge.tracking import configure_tracking, download_model, tracking_errors

RESTORES_TAG = "mlforge.restores"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelCopy:
    """A whole model on this machine.

    Attributes:
        folder: Holds `MLmodel` and the model's file.
        place: Where that is, in words.
        model: The model, read from it.
    """

    folder: Path
    place: str
    model: ScoringModel


def find_copy(use_case: UseCase, uri: str) -> ModelCopy | None:
    """Return a copy of a released model whose content is what was released, None if there is none.

    It lies on this machine, or in MLflow as a model that was logged anew because the first one was deleted.

    Args:
        use_case: Whose model.
        uri: Its address in the ledger.
    """
    hashes, bentos = _released(uri)
    for place, folder in _places(use_case, uri, bentos):
        if not (folder / "MLmodel").is_file():
            continue
        try:
            model = ScoringModel.load(folder, use_case.training.trusted_types)
        except MLForgeError as error:
            _log.warning("%s: the copy in %s does not load: %s", use_case.name, place, error)
            continue
        if model.content_hash in hashes:
            return ModelCopy(folder, place, model)
        _log.warning("%s: the copy in %s is not what was released", use_case.name, place)
    return None


def keep_in_cache(uri: str, folder: Path) -> None:
    """Put a model's folder into the cache of downloads, in place of what lies there; it appears whole or not at all."""
    target = cache_folder(uri)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.parent / f".{target.name}.{secrets.token_hex(4)}"
    try:
        shutil.copytree(folder, temporary)
        forget_cached(uri)
        temporary.rename(target)
    except OSError as error:
        # The copy itself can be read: the cache only saves time.
        _log.warning("%s cannot be kept in the cache: %s", uri, error)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def forget_cached(uri: str) -> bool:
    """Throw away what the cache has of a model; return whether it had anything."""
    folder = cache_folder(uri)
    aside = folder.parent / f".{folder.name}.{secrets.token_hex(4)}"
    try:
        # Renamed first: nobody finds half of it.
        folder.rename(aside)
    except FileNotFoundError:
        return False
    shutil.rmtree(aside, ignore_errors=True)
    return True


def cache_folder(uri: str) -> Path:
    """Return where a download of `models:/m-…` is kept."""
    return get_settings().home / "cache" / "models" / uri.removeprefix("models:/")


def bento_model_folder(tag: str) -> Path:
    """Return where the model lies in the bento `name:version`, whether it is there or not."""
    name, _, version = tag.partition(":")
    return get_settings().home / "bentoml" / "bentos" / name / version / "src" / "model"


def _places(use_case: UseCase, uri: str, bentos: list[str]) -> Iterator[tuple[str, Path]]:
    if not bentos:
        # It was never released: nothing says what a copy should be.
        return
    yield "the cache", cache_folder(uri)
    for bento in bentos:
        yield f"the bento {bento}", bento_model_folder(bento)
    for other in _logged_anew(use_case, uri):
        try:
            yield f"MLflow as {other}", download_model(other)
        except MLForgeError as error:
            _log.warning("%s: %s", use_case.name, error)


def _logged_anew(use_case: UseCase, uri: str) -> list[str]:
    """Return where MLflow has a model that was logged to restore another one, newest first."""
    configure_tracking()
    from mlflow import MlflowClient

    wanted = f"name = '{use_case.name}' and tags.`{RESTORES_TAG}` = '{uri}'"
    try:
        with tracking_errors("the model versions cannot be searched", where=use_case.name):
            found = MlflowClient().search_model_versions(wanted)
    except MLForgeError as error:
        _log.warning("%s", error)
        return []
    newest = sorted(found, key=lambda version: int(version.version), reverse=True)
    return [str(version.source) for version in newest if version.source != uri]


def _released(uri: str) -> tuple[set[str], list[str]]:
    """Return the content hashes and the bentos that the ledger names for a model."""
    query = "SELECT DISTINCT content_hash, bento FROM ledger.releases WHERE model_uri = %(uri)s ORDER BY bento"
    with connect() as connection:
        rows = connection.execute(query, {"uri": uri}).fetchall()
    return {str(row[0]) for row in rows}, [str(row[1]) for row in rows]
