"""Fitting: a model and its calibration from examples, the same bytes from the same examples."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from mlforge.errors import TrainingError
from mlforge.examples import Examples, Part, split_by_time
from mlforge.metrics import measure_use_case
from mlforge.scoring import (
    FORMATS,
    Feature,
    Matrix,
    ModelDescription,
    ScoringModel,
    encode_columns,
    model_hash,
    raw_scores,
)
from mlforge.spec import UseCase
from mlforge.training.calibration import Known, calibrate
from mlforge.training.columns import describe_columns
from mlforge.training.estimators import FittedEstimator, Labelled, fit_estimator
from mlforge.training.families import build_estimator
from mlforge.training.plan import FitPlan
from mlforge.training.weights import fit_weights

_FITTED_ON: tuple[Part, ...] = ("train", "validation")


@dataclass(frozen=True)
class FittedModel:
    """A model with what scoring needs, and what training noticed.

    Attributes:
        plan: What was fitted.
        fitted: The estimator, as its library wrote it.
        metrics: Scores of the training and validation rows, named `<part>_<metric>`.
        constant: Columns left out because they are constant.
        infinite: Column → how many of its values in the training and validation rows are infinite, or too large for 32
            bits; they count as missing.
        rows: Rows of each part.
        example: Some encoded training rows, shape (≤ 5, n_features).
    """

    plan: FitPlan
    fitted: FittedEstimator
    description: ModelDescription
    metrics: dict[str, float]
    constant: list[str]
    infinite: dict[str, int]
    rows: dict[Part, int]
    example: Matrix = field(repr=False)

    @property
    def content_hash(self) -> str:
        """SHA-256 of the model's file and the description, hexadecimal."""
        return model_hash(self.fitted.content, self.description)

    def scoring_model(self, use_case: UseCase) -> ScoringModel:
        """Return the model that scores, read back from the bytes that are stored."""
        return ScoringModel.of(self.fitted.content, self.description, use_case.training.trusted_types)


def fit_model(use_case: UseCase, examples: Examples, plan: FitPlan | None = None) -> FittedModel:
    """Return a model fitted on the oldest rows, stopped early and calibrated on the validation days.

    Args:
        use_case: Whose model.
        examples: All of them; they are split by time.
        plan: What is fitted; none for model.py's model with `training.parameters`.

    Raises:
        TrainingError: Too few rows, labels that are all the same, no usable column, or `model.build_model` refuses its
            parameters.
    """
    plan = plan or FitPlan.of(use_case)
    _require_rows(use_case, examples)
    parts = split_by_time(use_case, examples)
    for part in ("train", "validation"):
        _require_different_labels(use_case, part, parts[part])
    features, constant = describe_columns(use_case, parts["train"], plan.features)
    encoded = {part: _encode(features, parts[part]) for part in _FITTED_ON}
    known = {part: parts[part].labels for part in _FITTED_ON}
    fitted = fit_estimator(
        use_case,
        build_estimator(use_case, plan),
        features,
        train=Labelled(encoded["train"], known["train"], fit_weights(use_case, parts["train"])),
        validation=Labelled(encoded["validation"], known["validation"], fit_weights(use_case, parts["validation"])),
    )
    predictor = FORMATS[fitted.format].load(fitted.content, use_case.training.trusted_types)
    raw = {part: raw_scores(predictor, matrix, use_case.task) for part, matrix in encoded.items()}
    calibration = calibrate(use_case, Known(raw["validation"], known["validation"], known["train"]))
    description = ModelDescription(
        features=tuple(features),
        calibration=calibration,
        labels=tuple(use_case.prediction.labels),
        model_sha256=hashlib.sha256(fitted.content).hexdigest(),
        task=use_case.task,
        format=fitted.format,
    )
    metrics = {
        f"{part}_{metric}": value
        for part in _FITTED_ON
        for metric, value in measure_use_case(use_case, known[part], calibration.scores(raw[part])).items()
    }
    return FittedModel(
        plan=plan,
        fitted=fitted,
        description=description,
        metrics=metrics,
        constant=constant,
        infinite=_infinite(features, [parts[part] for part in _FITTED_ON]),
        rows={name: len(part) for name, part in parts.items()},
        example=encoded["train"][:5],
    )


def _encode(features: list[Feature], examples: Examples) -> Matrix:
    return encode_columns(features, examples.columns([feature.name for feature in features]))


def _infinite(features: list[Feature], parts: Sequence[Examples]) -> dict[str, int]:
    numbers = [feature.name for feature in features if feature.kind == "number"]
    found: Counter[str] = Counter()
    for part in parts:
        found.update({name: int(np.isinf(np.asarray(values)).sum()) for name, values in part.columns(numbers).items()})
    return {name: count for name, count in found.items() if count}


def _require_rows(use_case: UseCase, examples: Examples) -> None:
    if len(examples) < use_case.training.minimum_rows:
        raise TrainingError(
            f"{len(examples)} labelled rows, training.minimum_rows is {use_case.training.minimum_rows}",
            where=use_case.name,
            hint="load more days, or lower training.minimum_rows",
        )


def _require_different_labels(use_case: UseCase, part: str, examples: Examples) -> None:
    if len(np.unique(examples.labels)) < 2:
        raise TrainingError(
            f"the {part} rows have one {'class' if use_case.task == 'classification' else 'label'} only",
            where=use_case.name,
            evidence=[f"{len(examples)} rows from {examples.times[0]} to {examples.times[-1]} UTC"],
            hint="load more days, or correct model.label",
        )
