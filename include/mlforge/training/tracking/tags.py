"""Names of the tags of MLForge's runs in MLflow, and what follows from them."""

from __future__ import annotations

from collections.abc import Mapping

ATTEMPT = "mlforge.attempt"
MODEL_URI = "mlforge.model_uri"
MODEL_VERSION = "mlforge.model_version"
MODEL_HASH = "mlforge.model_hash"
# Why a run was not brought to its end.
LEFT_BEHIND = "mlforge.left_behind"
# Who writes the run: host, process, since when.
PROCESS = "mlforge.process"
STUDY = "mlforge.study"
TRIAL = "mlforge.trial"
FINGERPRINT = "mlforge.fingerprint."
PARENT_RUN = "mlflow.parentRunId"


def is_complete(tags: Mapping[str, str]) -> bool:
    """Return whether a run has come to its model version."""
    return {MODEL_URI, MODEL_VERSION, MODEL_HASH} <= set(tags)


def fingerprint_tags(fingerprints: Mapping[str, str]) -> dict[str, str]:
    """Return a tag per kind of input."""
    return {f"{FINGERPRINT}{kind}": value for kind, value in fingerprints.items()}


def read_fingerprints(tags: Mapping[str, str]) -> dict[str, str]:
    """Return the fingerprints that a run has as tags."""
    return {name.removeprefix(FINGERPRINT): value for name, value in tags.items() if name.startswith(FINGERPRINT)}
