"""A fitted model in MLflow: written by its library's flavour, uploaded, read back, and only then called ready."""

from __future__ import annotations

import contextlib
import hashlib
import logging
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from mlforge.errors import RetryableError
from mlforge.scoring import FORMATS, METADATA_KEY, FormatName, raw_scores
from mlforge.spec import UseCase
from mlforge.tracking import tracking_reachable
from mlforge.training.fitting import FittedModel
from mlforge.training.tracking.tags import LEFT_BEHIND, MODEL_HASH

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel, Run
    from mlflow.models import Model

_REQUIREMENTS: Mapping[FormatName, tuple[str, ...]] = {
    "xgboost": ("mlflow", "numpy", "pyyaml", "xgboost"),
    "lightgbm": ("mlflow", "numpy", "pyyaml", "lightgbm"),
    "sklearn": ("mlflow", "numpy", "pyyaml", "scikit-learn", "skops"),
}


def store_model(
    client: MlflowClient, use_case: UseCase, run: Run, fitted: FittedModel, parameters: Mapping[str, str]
) -> str:
    """Return the id of the logged model, whose files in MLflow are those that were fitted.

    A model that an earlier try of the run has stored whole is used again; one whose upload was cut short is marked.

    Raises:
        RetryableError: What MLflow holds is not what was written.
    """
    from mlflow.entities import LoggedModelOutput, LoggedModelStatus

    for earlier in _earlier_models(client, run, fitted):
        return str(earlier.model_id)
    with TemporaryDirectory(prefix="mlforge-model-") as temporary:
        model = client.create_logged_model(
            run.info.experiment_id,
            name=use_case.name,
            source_run_id=run.info.run_id,
            params=dict(parameters),
            tags={MODEL_HASH: fitted.content_hash},
        )
        client.log_outputs(run.info.run_id, [LoggedModelOutput(model.model_id, step=0)])
        folder = Path(temporary) / "model"
        try:
            _write(use_case, run, fitted, model, folder)
            client.log_model_artifacts(model.model_id, str(folder))
            _require_same(model, folder, FORMATS[fitted.fitted.format].file)
        except BaseException:
            _give_up(client, model)
            raise
    client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
    return str(model.model_id)


def _earlier_models(client: MlflowClient, run: Run, fitted: FittedModel) -> list[LoggedModel]:
    """Return the models of a resumed run that are ready and the same."""
    from mlflow.entities import LoggedModelStatus

    outputs = run.outputs.model_outputs if run.outputs else []
    models = [client.get_logged_model(output.model_id) for output in outputs]
    return [
        model
        for model in models
        if model.status == LoggedModelStatus.READY and model.tags.get(MODEL_HASH) == fitted.content_hash
    ]


def _write(use_case: UseCase, run: Run, fitted: FittedModel, model: LoggedModel, folder: Path) -> None:
    """Write the folder as MLflow's flavour of the library has it; the model's file holds the bytes that were hashed."""
    import pandas as pd
    from mlflow.models import Model, infer_signature

    names = [feature.name for feature in fitted.description.features]
    example = pd.DataFrame(fitted.example, columns=names)
    scores = raw_scores(fitted.scoring_model(use_case).predictor, fitted.example, fitted.description.task)
    description = Model(
        artifact_path=model.artifact_location,
        run_id=run.info.run_id,
        model_uuid=model.model_id,
        model_id=model.model_id,
    )
    _save(fitted, description, folder, signature=infer_signature(example, scores), input_example=example)
    (folder / FORMATS[fitted.fitted.format].file).write_bytes(fitted.fitted.content)


def _save(fitted: FittedModel, description: Model, folder: Path, **given: Any) -> None:
    import mlflow

    # It would say of each model that there is no pip here to name.
    logging.getLogger("mlflow.utils.environment").setLevel(logging.ERROR)
    written = fitted.fitted
    options: dict[str, Any] = {
        **given,
        "path": str(folder),
        "mlflow_model": description,
        "pip_requirements": [f"{package}=={version(package)}" for package in _REQUIREMENTS[written.format]],
        "metadata": {METADATA_KEY: fitted.description.model_dump(mode="json")},
    }
    if written.format == "xgboost":
        mlflow.xgboost.save_model(written.estimator, model_format="ubj", **options)
    elif written.format == "lightgbm":
        mlflow.lightgbm.save_model(written.estimator, **options)
    else:
        from skops.io import get_untrusted_types

        # MLflow reads what it writes; what training has just made and read itself holds no other types.
        trusted = get_untrusted_types(data=written.content)
        mlflow.sklearn.save_model(
            written.estimator, serialization_format="skops", skops_trusted_types=trusted, **options
        )


def _require_same(model: LoggedModel, folder: Path, file: str) -> None:
    """Compare what MLflow holds with what was written: all sizes, and the hashes of what scoring reads.

    Raises:
        RetryableError: Something differs.
    """
    from mlflow.artifacts import download_artifacts, list_artifacts

    listed = list_artifacts(artifact_uri=model.artifact_location)
    stored = {Path(each.path).name: each.file_size for each in listed}
    written = {path.name: path.stat().st_size for path in folder.iterdir()}
    differing = [
        f"{name}: {stored.get(name)} of {size} bytes" for name, size in written.items() if stored.get(name) != size
    ]
    if not differing:
        with TemporaryDirectory(prefix="mlforge-verify-") as temporary:
            for name in (file, "MLmodel"):
                found = download_artifacts(artifact_uri=f"{model.artifact_location}/{name}", dst_path=temporary)
                if _hash(Path(found)) != _hash(folder / name):
                    differing.append(f"{name}: another hash")
    if differing:
        raise RetryableError(
            "the upload of the model was cut short",
            where=f"model {model.model_id}",
            evidence=differing,
            hint="it is uploaded anew with the next attempt; see MLflow's log if that fails too",
        )


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _give_up(client: MlflowClient, model: LoggedModel) -> None:
    """Mark a model that is not whole, if MLflow answers."""
    import requests
    from mlflow.entities import LoggedModelStatus
    from mlflow.exceptions import MlflowException

    if tracking_reachable():
        with contextlib.suppress(MlflowException, requests.RequestException):
            client.set_logged_model_tags(model.model_id, {LEFT_BEHIND: "its upload was cut short"})
            client.finalize_logged_model(model.model_id, LoggedModelStatus.FAILED)
