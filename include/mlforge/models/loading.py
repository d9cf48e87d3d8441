"""A use case's models by their address: downloaded once, and read with what the use case trusts."""

from __future__ import annotations

from mlforge.scoring import ScoringModel
from mlforge.spec import UseCase
from mlforge.spec.module import load_model_module
from mlforge.tracking import download_model


def load_model(use_case: UseCase, uri: str) -> ScoringModel:
    """Return the model at an address.

    Args:
        use_case: Whose model; its `training.trusted_types` may be made from the model's file.
        uri: `models:/m-…`, or `models:/<name>/<version>`.

    Raises:
        TerminalError: The model is gone, was not trained by MLForge, or holds a type that is not trusted.
        ServiceUnavailableError: MLflow does not answer, and the model is not in the cache.
    """
    folder = download_model(uri)
    # An estimator of the use case's own is found by the name of its module.
    load_model_module(use_case)
    return ScoringModel.load(folder, use_case.training.trusted_types)
