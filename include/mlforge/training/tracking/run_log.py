"""What a run says: parameters, scores with their data, what fitting cost, the model, and what it was made from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from mlforge.refs import Candidate
from mlforge.tracking import configure_tracking, tracking_errors
from mlforge.training.fitting import FittedModel
from mlforge.training.tracking.attempts import Attempt, candidate_of
from mlforge.training.tracking.datasets import dataset_input
from mlforge.training.tracking.model_store import store_model
from mlforge.training.tracking.origin import FILE, Origin
from mlforge.training.tracking.parameters import run_parameters
from mlforge.training.tracking.registration import register_model
from mlforge.training.tracking.resources import ResourceMeter
from mlforge.training.tracking.tags import MODEL_HASH, MODEL_URI, MODEL_VERSION

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from mlflow import MlflowClient
    from mlflow.entities import Dataset, Metric, Run

    from mlforge.scoring import ScoringModel

_DPI = 100
# A picture of lines is small anyway, and takes a fifth less time so.
_QUICK = {"compress_level": 1}


def log_fit(attempt: Attempt, run: Run, fitted: FittedModel, used: ResourceMeter, *, resumed: bool) -> Candidate:
    """Log a fitted model with its parameters, lineage and scores, register it, and return the candidate.

    Every request may be made twice: a try that goes on where another one ended writes the same things to the same run.

    Args:
        attempt: What was made.
        run: Its run.
        fitted: The model.
        used: What fitting it cost.
        resumed: Whether an earlier try has written into the run.

    Raises:
        RetryableError: The model's upload was cut short.
    """
    from mlflow import MlflowClient
    from mlflow.entities import Param, RunTag

    client, run_id, use_case = MlflowClient(), run.info.run_id, attempt.use_case
    rows = fitted.rows["train"] + fitted.rows["validation"]
    data = dataset_input(attempt.training_set, "training", fitted.description.features, rows)
    client.log_inputs(run_id, [data])
    parameters = run_parameters(use_case, fitted)
    model_id = store_model(client, use_case, run, fitted, parameters)
    metrics = [
        *_metrics(run, fitted.metrics, data.dataset, model_id),
        *_metrics(run, used.metrics),
        *_samples(run, used),
        *_curve(run, fitted),
    ]
    client.log_batch(run_id, metrics=metrics, params=[Param(name, value) for name, value in parameters.items()])
    _log_documents(client, run_id, attempt, fitted)
    tags = {
        "mlforge.training_set_hash": attempt.training_set.content_hash,
        "mlforge.partition_key": attempt.training_set.partition_key,
        MODEL_HASH: fitted.content_hash,
    }
    number = register_model(client, use_case, run, model_id, tags, resumed=resumed)
    complete = {MODEL_URI: f"models:/{model_id}", MODEL_VERSION: str(number), MODEL_HASH: fitted.content_hash}
    # The last thing written: a run that has these tags is complete.
    client.log_batch(run_id, tags=[RunTag(name, value) for name, value in complete.items()])
    return candidate_of(
        attempt,
        run,
        uri=complete[MODEL_URI],
        content_hash=fitted.content_hash,
        version=number,
        metrics=fitted.metrics,
        used=attempt.fingerprints,
    )


def log_evaluation(
    candidate: Candidate, model: ScoringModel, rows: int, metrics: Mapping[str, float], plots: Mapping[str, Figure]
) -> None:
    """Log the scores of the test days with their data, and the plots as `plots/<name>.png`.

    Args:
        candidate: Whose run.
        model: The candidate's model.
        rows: How many were scored.
        metrics: Scores by name.
        plots: Figures by name.

    Raises:
        ServiceUnavailableError: MLflow does not answer.
    """
    configure_tracking()
    from mlflow import MlflowClient

    client, run_id = MlflowClient(), candidate.run_id
    with (
        tracking_errors("the scores cannot be logged", where=f"{candidate.use_case}, run {run_id}"),
        TemporaryDirectory(prefix="mlforge-plots-") as temporary,
    ):
        run = client.get_run(run_id)
        data = dataset_input(candidate.training_set, "evaluation", model.features, rows)
        client.log_inputs(run_id, [data])
        model_id = candidate.uri.removeprefix("models:/")
        client.log_batch(run_id, metrics=_metrics(run, metrics, data.dataset, model_id))
        for name, figure in plots.items():
            figure.savefig(Path(temporary) / f"{name}.png", dpi=_DPI, pil_kwargs=_QUICK)
        client.log_artifacts(run_id, temporary, "plots")


def _metrics(
    run: Run, values: Mapping[str, float], dataset: Dataset | None = None, model_id: str | None = None
) -> list[Metric]:
    """Return scores as MLflow stores them, at the run's start: written again, they are no second point."""
    from mlflow.entities import Metric

    return [
        Metric(
            name,
            value,
            run.info.start_time,
            0,
            model_id=model_id,
            dataset_name=dataset.name if dataset else None,
            dataset_digest=dataset.digest if dataset else None,
            run_id=run.info.run_id,
        )
        for name, value in values.items()
    ]


def _curve(run: Run, fitted: FittedModel) -> Iterable[Metric]:
    from mlflow.entities import Metric

    began = run.info.start_time
    return [Metric("fit_validation_loss", value, began, step) for step, value in enumerate(fitted.fitted.curve)]


def _samples(run: Run, used: ResourceMeter) -> Iterable[Metric]:
    from mlflow.entities import Metric

    began = run.info.start_time
    for step, (seconds, percent, memory) in enumerate(used.samples):
        moment = began + int(1000 * seconds)
        yield Metric("system/process_cpu_percent", percent, moment, step)
        yield Metric("system/process_memory_megabytes", memory, moment, step)


def _log_documents(client: MlflowClient, run_id: str, attempt: Attempt, fitted: FittedModel) -> None:
    origin = Origin.of(attempt, fitted)
    importance = dict(sorted(fitted.fitted.importance.items(), key=lambda item: -item[1]))
    documents = {
        FILE: origin.model_dump_json(indent=2),
        "environment.json": json.dumps(origin.environment, indent=2),
        "feature_importance.json": json.dumps(importance, indent=2),
    }
    with TemporaryDirectory(prefix="mlforge-run-") as temporary:
        for name, text in documents.items():
            (Path(temporary) / name).write_text(text, encoding="utf-8")
        client.log_artifacts(run_id, temporary)
