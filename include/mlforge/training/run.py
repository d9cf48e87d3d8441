"""One MLflow run per attempt: found again on a retry, with everything that a person needs to see where it came from."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from mlforge.refs import Candidate, TrainingSet, code_version
from mlforge.scoring import METADATA_KEY
from mlforge.spec import UseCase
from mlforge.tracking import configure_tracking, tracking_errors
from mlforge.training.fitting import FittedModel
from mlforge.training.plan import FitPlan

if TYPE_CHECKING:
    from mlflow.entities import Run

ATTEMPT = "mlforge.attempt"
_MODEL_URI = "mlforge.model_uri"
_MODEL_VERSION = "mlforge.model_version"
_MODEL_HASH = "mlforge.model_hash"
_REQUIREMENTS = ("mlflow", "numpy", "pyyaml", "xgboost")
_DIGEST_LENGTH = 32  # MLflow's column for a data set's digest is 36 characters wide.


def attempt_key(use_case: UseCase, training_set: TrainingSet, code: str, plan: FitPlan) -> str:
    """Return what an attempt is known by: the same data, code, training settings and plan are the same attempt."""
    chosen = json.dumps([plan.family, dict(plan.parameters), plan.features], sort_keys=True)
    settings = hashlib.sha256((use_case.training.model_dump_json() + chosen).encode()).hexdigest()[:12]
    return f"{use_case.name}:{training_set.content_hash}:{code}:{settings}"


def find_run(use_case: UseCase, attempt: str) -> Run | None:
    """Return the run of an attempt, finished or not; None if there is none."""
    configure_tracking()
    from mlflow import MlflowClient

    client = MlflowClient()
    with tracking_errors("the run cannot be looked up", where=use_case.name):
        experiment = client.get_experiment_by_name(use_case.name)
        if experiment is None:
            return None
        found = client.search_runs(
            [experiment.experiment_id],
            f"tags.`{ATTEMPT}` = '{attempt}'",
            max_results=1,
            order_by=["attributes.start_time DESC"],
        )
    return found[0] if found else None


def finished_candidate(use_case: UseCase, training_set: TrainingSet, run: Run, code: str) -> Candidate | None:
    """Return the candidate that a run made, None if it did not come so far or its model version was deleted."""
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    tags = run.data.tags
    if not {_MODEL_URI, _MODEL_VERSION, _MODEL_HASH} <= set(tags):
        return None
    with tracking_errors("the model version cannot be looked up", where=use_case.name):
        try:
            MlflowClient().get_model_version(use_case.name, tags[_MODEL_VERSION])
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise
    return Candidate(
        use_case=use_case.name,
        partition_key=training_set.partition_key,
        uri=tags[_MODEL_URI],
        rows=training_set.rows,
        content_hash=tags[_MODEL_HASH],
        code_version=code,
        run_id=run.info.run_id,
        model_name=use_case.name,
        model_version=int(tags[_MODEL_VERSION]),
        training_set=training_set,
        metrics={name: run.data.metrics[name] for name in sorted(run.data.metrics) if _is_training_metric(name)},
        baselines={},
    )


def _is_training_metric(name: str) -> bool:
    return name.startswith(("train_", "validation_"))


@contextmanager
def open_run(
    use_case: UseCase, training_set: TrainingSet, attempt: str, *, resumed: Run | None, tags: dict[str, str]
) -> Iterator[Run]:
    """Give the attempt's run, new or resumed; it is marked as failed when the work inside fails.

    Raises:
        ServiceUnavailableError: MLflow does not answer.
    """
    import mlflow

    with tracking_errors("the run cannot be logged", where=use_case.name):
        mlflow.set_experiment(use_case.name)
        name = f"{training_set.partition_key} {training_set.content_hash[:8]}"
        started = mlflow.start_run(
            run_id=resumed.info.run_id if resumed else None,
            run_name=None if resumed else name,
            tags={ATTEMPT: attempt, **tags},
        )
        with started as run:
            yield run


def log_fit(use_case: UseCase, training_set: TrainingSet, run: Run, fitted: FittedModel) -> Candidate:
    """Log a fitted model with its parameters, lineage and scores, register it, and return the candidate."""
    import mlflow

    dataset = _dataset(use_case, training_set)
    mlflow.log_input(dataset, context="training")
    mlflow.log_params(_params(use_case, fitted))
    _log_curve(run, fitted)
    logged = _log_model(use_case, fitted)
    mlflow.log_metrics(fitted.metrics, model_id=logged.model_id, dataset=dataset)
    importance = fitted.fitted.importance
    mlflow.log_dict(dict(sorted(importance.items(), key=lambda item: -item[1])), "feature_importance.json")
    number = _register(use_case, run, logged.model_id)
    tags = {
        _MODEL_URI: f"models:/{logged.model_id}",
        _MODEL_VERSION: str(number),
        _MODEL_HASH: fitted.content_hash,
    }
    # The last thing written: a run that has these tags is complete.
    mlflow.set_tags(tags)
    return Candidate(
        use_case=use_case.name,
        partition_key=training_set.partition_key,
        uri=tags[_MODEL_URI],
        rows=training_set.rows,
        content_hash=fitted.content_hash,
        code_version=code_version(use_case.folder),
        run_id=run.info.run_id,
        model_name=use_case.name,
        model_version=number,
        training_set=training_set,
        metrics=dict(sorted(fitted.metrics.items())),
        baselines={},
    )


def _dataset(use_case: UseCase, training_set: TrainingSet) -> Any:
    from mlflow.data.dataset_source_registry import resolve_dataset_source
    from mlflow.data.meta_dataset import MetaDataset

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        source = resolve_dataset_source(training_set.uri)
    name = f"{use_case.name} as of {training_set.as_of:%Y-%m-%d}"
    return MetaDataset(source, name=name, digest=training_set.content_hash[:_DIGEST_LENGTH])


def _params(use_case: UseCase, fitted: FittedModel) -> dict[str, Any]:
    training = use_case.training
    return {
        **fitted.plan.parameters,
        "window_days": training.window_days,
        "validation_days": training.validation_days,
        "test_days": training.test_days,
        "early_stopping_rounds": training.early_stopping_rounds,
        "calibration": fitted.description.calibration.method,
        "features": len(fitted.description.features),
        "constant_columns": ", ".join(fitted.constant),
        "trees": fitted.fitted.rounds,
        **{f"{part}_rows": rows for part, rows in fitted.rows.items()},
    }


def _log_curve(run: Run, fitted: FittedModel) -> None:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

    began = run.info.start_time
    points = [Metric("fit_validation_loss", value, began, step) for step, value in enumerate(fitted.fitted.curve)]
    for first in range(0, len(points), 1000):
        MlflowClient().log_batch(run.info.run_id, metrics=points[first : first + 1000])


def _log_model(use_case: UseCase, fitted: FittedModel) -> Any:
    import mlflow
    import pandas as pd
    from mlflow.models import infer_signature

    names = [feature.name for feature in fitted.description.features]
    example = pd.DataFrame(fitted.example, columns=names)
    raw = fitted.fitted.estimator.inplace_predict(fitted.example, missing=float("nan"))
    return mlflow.xgboost.log_model(
        fitted.fitted.estimator,
        name=use_case.name,
        model_format="ubj",
        signature=infer_signature(example, raw),
        input_example=example,
        pip_requirements=[f"{package}=={version(package)}" for package in _REQUIREMENTS],
        metadata={METADATA_KEY: fitted.description.model_dump(mode="json")},
    )


def _register(use_case: UseCase, run: Run, model_id: str) -> int:
    """Return the number of the registered version, made at the first call for a logged model."""
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    client, source = MlflowClient(), f"models:/{model_id}"
    try:
        client.create_registered_model(use_case.name, description=use_case.title)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    made = client.create_model_version(use_case.name, source, run_id=run.info.run_id, model_id=model_id)
    return int(made.version)
