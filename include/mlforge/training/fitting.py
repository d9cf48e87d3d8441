"""Fitting: a booster and its calibration from examples, the same bytes from the same examples."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from mlforge.errors import TrainingError
from mlforge.examples import Examples, Part, split_by_time
from mlforge.metrics import classification_metrics
from mlforge.scoring import (
    Feature,
    Matrix,
    ModelDescription,
    Vector,
    booster_margins,
    encode_columns,
    model_hash,
)
from mlforge.spec import UseCase
from mlforge.spec.module import load_model_module
from mlforge.training.calibration import fit_calibration
from mlforge.training.columns import describe_columns

if TYPE_CHECKING:
    from xgboost import Booster

SEED = 20130101
# One thread: the sums of a histogram, and so the trees, depend on how many there are.
THREADS = 1


@dataclass(frozen=True)
class FittedModel:
    """A booster with what scoring needs, and what training noticed.

    Attributes:
        metrics: Scores of the training and validation rows, named `<part>_<metric>`.
        curve: Validation log loss after each round.
        constant: Columns left out because they are constant.
        rows: Rows of each part.
        example: Some encoded training rows, shape (≤ 5, n_features).
    """

    booster: Booster
    description: ModelDescription
    metrics: dict[str, float]
    curve: list[float]
    constant: list[str]
    rows: dict[Part, int]
    example: Matrix = field(repr=False)

    @property
    def content_hash(self) -> str:
        """SHA-256 of the trees and the description, hexadecimal."""
        return model_hash(bytes(self.booster.save_raw("ubj")), self.description)


def fit_model(use_case: UseCase, examples: Examples) -> FittedModel:
    """Return a model fitted on the oldest rows, stopped early and calibrated on the validation days.

    Raises:
        TrainingError: Too few rows, one class only, no usable column, or `model.build_model` refuses its parameters.
    """
    _require_rows(use_case, examples)
    parts = split_by_time(use_case, examples)
    for part in ("train", "validation"):
        _require_both_classes(use_case, part, parts[part])
    features, constant = describe_columns(use_case, parts["train"])
    train = _encode(features, parts["train"])
    validation = _encode(features, parts["validation"])
    booster, curve = _boost(
        use_case, features, (train, parts["train"].labels), (validation, parts["validation"].labels)
    )
    margins = booster_margins(booster, validation)
    labels = parts["validation"].labels
    known = np.concatenate([parts["train"].labels, labels])
    calibration = fit_calibration(margins, labels, base_rate=float(known.mean()))
    description = ModelDescription(
        features=tuple(features),
        calibration=calibration,
        labels=(use_case.prediction.labels[0], use_case.prediction.labels[1]),
        trees_sha256=hashlib.sha256(bytes(booster.save_raw("ubj"))).hexdigest(),
    )
    metrics = {}
    for name, raw in (("train", booster_margins(booster, train)), ("validation", margins)):
        part_labels = parts["train" if name == "train" else "validation"].labels
        scores = classification_metrics(part_labels, calibration.probabilities(raw))
        metrics.update({f"{name}_{metric}": value for metric, value in scores.items()})
    return FittedModel(
        booster=booster,
        description=description,
        metrics=metrics,
        curve=curve,
        constant=constant,
        rows={name: len(part) for name, part in parts.items()},
        example=train[:5],
    )


def _encode(features: list[Feature], examples: Examples) -> Matrix:
    return encode_columns(features, examples.columns([feature.name for feature in features]))


def _boost(
    use_case: UseCase, features: list[Feature], train: tuple[Matrix, Vector], validation: tuple[Matrix, Vector]
) -> tuple[Booster, list[float]]:
    from xgboost.callback import EarlyStopping

    training = use_case.training
    where = f"{use_case.name}, model.build_model"
    try:
        model: Any = load_model_module(use_case).build_model(dict(training.parameters))
        model.set_params(
            random_state=training.parameters.get("random_state", SEED),
            n_jobs=THREADS,
            enable_categorical=True,
            feature_types=["c" if feature.kind == "category" else "q" for feature in features],
            # save_best drops the trees after the best round: the file holds what scores, nothing else.
            callbacks=[EarlyStopping(rounds=training.early_stopping_rounds, save_best=True)],
        )
        model.fit(*train, eval_set=[validation], verbose=False)
        booster: Booster = model.get_booster()
    except (TypeError, ValueError, AttributeError) as error:
        raise TrainingError(
            "the model cannot be fitted",
            where=where,
            evidence=[" ".join(str(error).split())[:300]],
            hint="build_model returns an unfitted xgboost classifier; correct it or training.parameters",
        ) from error
    booster.feature_names = [feature.name for feature in features]
    curve = next(iter(model.evals_result()["validation_0"].values()))
    return booster, [float(value) for value in curve]


def _require_rows(use_case: UseCase, examples: Examples) -> None:
    if len(examples) < use_case.training.minimum_rows:
        raise TrainingError(
            f"{len(examples)} labelled rows, training.minimum_rows is {use_case.training.minimum_rows}",
            where=use_case.name,
            hint="load more days, or lower training.minimum_rows",
        )


def _require_both_classes(use_case: UseCase, part: str, examples: Examples) -> None:
    if len(np.unique(examples.labels)) < 2:
        raise TrainingError(
            f"the {part} rows have one class only",
            where=use_case.name,
            evidence=[f"{len(examples)} rows from {examples.times[0]} to {examples.times[-1]} UTC"],
            hint="load more days, or correct model.label",
        )
