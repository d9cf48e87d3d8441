"""Loading a model by its address: from the cache, from MLflow, else from a copy of what was released."""

from __future__ import annotations

import logging
from pathlib import Path

from mlforge.errors import MLForgeError, RetryableError, TerminalError
from mlforge.models.copies import cache_folder, find_copy, forget_cached, keep_in_cache
from mlforge.scoring import ScoringModel
from mlforge.spec import UseCase
from mlforge.spec.module import load_model_module
from mlforge.tracking import download_model

_log = logging.getLogger(__name__)


def load_model(use_case: UseCase, uri: str) -> ScoringModel:
    """Return the model at an address.

    A damaged download is fetched again. When MLflow has the model no more, or does not answer, a released model comes
    from its bento, if that holds what the ledger says was released.

    Args:
        use_case: Whose model; its `training.trusted_types` may be made from the model's file.
        uri: `models:/m-…`, or `models:/<name>/<version>`.

    Raises:
        TerminalError: The model is gone, was not trained by MLForge, or holds a type that is not trusted.
        ServiceUnavailableError: MLflow does not answer, and there is no copy on this machine.
    """
    # An estimator of the use case's own is found by the name of its module.
    load_model_module(use_case)
    try:
        return _fetch(use_case, uri)
    except (TerminalError, RetryableError) as error:
        model = _load_copy(use_case, uri, error)
        if model is None:
            raise
        return model


def read_folder(use_case: UseCase, folder: Path) -> ScoringModel:
    """Return the model in a folder, read with what the use case trusts.

    Raises:
        TerminalError: There is none, or it is damaged.
    """
    load_model_module(use_case)
    return ScoringModel.load(folder, use_case.training.trusted_types)


def _fetch(use_case: UseCase, uri: str) -> ScoringModel:
    folder = download_model(uri)
    try:
        return ScoringModel.load(folder, use_case.training.trusted_types)
    except TerminalError:
        # Cut short or damaged: kept, it would be in the way for ever.
        if folder != cache_folder(uri) or not forget_cached(uri):
            raise
    try:
        return ScoringModel.load(download_model(uri), use_case.training.trusted_types)
    except TerminalError:
        forget_cached(uri)
        raise


def _load_copy(use_case: UseCase, uri: str, error: MLForgeError) -> ScoringModel | None:
    try:
        copy = find_copy(use_case, uri)
    except RetryableError:
        # Without the ledger nobody knows what was released.
        return None
    if copy is None:
        return None
    _log.warning("%s: %s; the model comes from %s, which holds what was released", use_case.name, error, copy.place)
    if copy.folder != cache_folder(uri):
        keep_in_cache(uri, copy.folder)
    return copy.model
