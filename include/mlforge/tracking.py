"""MLflow as this installation has it: address, credentials, quiet, and models as local folders.

The experiment and the registered model of a use case both have its name. MLflow itself is imported inside functions.
"""

from __future__ import annotations

import importlib
import logging
import os
import re
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from mlforge.errors import RetryableError, ServiceUnavailableError, TerminalError
from mlforge.settings import get_settings

USER = "mlforge"
CHAMPION_ALIAS = "champion"

_MODEL_ID = re.compile(r"models:/(m-[0-9a-f]{32})")
_ENVIRONMENT = {
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # The default is minutes of silent retries; a stage that fails is tried again by its scheduler.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "60",
    "GIT_PYTHON_REFRESH": "quiet",
}
_HEADERS = "mlflow.tracking.request_header.registry"
_TEMPORARY = {"TEMPORARILY_UNAVAILABLE", "INTERNAL_ERROR", "REQUEST_LIMIT_EXCEEDED", "ABORTED"}


def configure_tracking() -> None:
    """Point MLflow in this process at the installation's server, with its credentials and without chatter.

    Credentials that the environment already has win where the server is an external one.
    """
    settings = get_settings()
    os.environ["MLFLOW_TRACKING_URI"] = settings.tracking_url
    os.environ["MLFLOW_REGISTRY_URI"] = settings.tracking_url
    if settings.mlflow_url is None or "MLFLOW_TRACKING_USERNAME" not in os.environ:
        os.environ["MLFLOW_TRACKING_USERNAME"] = USER
        os.environ["MLFLOW_TRACKING_PASSWORD"] = settings.secret("mlflow_password")
    os.environ.update(_ENVIRONMENT)
    # The library may have been imported before: the variable for its level is read at its import only.
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    _leave_out_feast()


def _leave_out_feast() -> None:
    """Keep MLflow's first request from importing Feast, which takes seconds to bring a header that we never send."""
    if _HEADERS in sys.modules:
        return
    from mlflow.utils import plugins

    given = plugins.get_entry_points
    plugins.get_entry_points = lambda group: [each for each in given(group) if each.name != "feast"]
    try:
        importlib.import_module(_HEADERS)
    finally:
        plugins.get_entry_points = given


def tracking_reachable(*, seconds: float = 2) -> bool:
    """Return whether the MLflow server answers.

    Args:
        seconds: How long to wait for it.
    """
    try:
        with urlopen(f"{get_settings().tracking_url}/health", timeout=seconds) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except (URLError, OSError, ValueError):
        return False


@contextmanager
def tracking_errors(what: str, *, where: str | None = None) -> Iterator[None]:
    """Turn what MLflow raises inside into errors of ours.

    Args:
        what: What cannot be done, for instance `the model cannot be logged`.
        where: Use case, stage, model.

    Raises:
        ServiceUnavailableError: The server does not answer.
        RetryableError: It answers that it cannot do so at the moment.
        TerminalError: It refuses, or what is asked for does not exist.
    """
    import requests
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, requests.RequestException) as error:
        detail = " ".join(str(error).split())[:300]
        if not tracking_reachable():
            raise ServiceUnavailableError(
                f"{what}: MLflow does not answer", where=where, evidence=[detail], hint="see `mlforge status`"
            ) from error
        code = getattr(error, "error_code", "INTERNAL_ERROR")
        if code in _TEMPORARY:
            raise RetryableError(what, where=where, evidence=[detail], hint="see MLflow's log") from error
        raise TerminalError(what, where=where, evidence=[f"{code}: {detail}"], hint="see MLflow's page") from error


def download_model(uri: str) -> Path:
    """Return a local folder with the model, downloaded at the first call.

    A logged model never changes, so its folder below `home/cache/models` is kept.

    Args:
        uri: `models:/m-…`, or `models:/<name>/<version>`.

    Raises:
        TerminalError: The model is gone.
        ServiceUnavailableError: MLflow does not answer, and the model is not in the cache.
    """
    model_id = _model_id(uri)
    folder = get_settings().home / "cache" / "models" / model_id
    if (folder / "MLmodel").is_file():
        return folder
    configure_tracking()
    import mlflow

    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.parent / f".{model_id}.{secrets.token_hex(4)}"
    try:
        with tracking_errors(f"the model {uri} cannot be downloaded"):
            mlflow.artifacts.download_artifacts(artifact_uri=f"models:/{model_id}", dst_path=str(temporary))
        if not (temporary / "MLmodel").is_file():
            raise TerminalError(f"the model {uri} has no files", hint="train it again")
        try:
            temporary.rename(folder)
        except OSError:
            # Another process was first; what it downloaded is the same.
            if not (folder / "MLmodel").is_file():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def _model_id(uri: str) -> str:
    matched = _MODEL_ID.fullmatch(uri)
    if matched:
        return matched[1]
    parts = uri.removeprefix("models:/").split("/")
    if not uri.startswith("models:/") or len(parts) != 2 or not parts[1].isdigit():
        raise TerminalError(f"{uri!r} is no address of a model", hint="write models:/m-… or models:/<name>/<version>")
    configure_tracking()
    from mlflow import MlflowClient

    with tracking_errors(f"the model {uri} cannot be found"):
        version = MlflowClient().get_model_version(parts[0], parts[1])
    matched = _MODEL_ID.fullmatch(version.source or "")
    if not matched:
        raise TerminalError(f"the model {uri} was not logged by MLForge", evidence=[version.source])
    return matched[1]
