"""Fitting: a booster and its calibration from examples, the same bytes from the same examples."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from mlforge.errors import TrainingError
from mlforge.examples import Examples, Part, split_by_time
from mlforge.metrics import measure
from mlforge.scoring import (
    Feature,
    Matrix,
    ModelDescription,
    NoCalibration,
    PlattCalibration,
    Vector,
    encode_columns,
    model_hash,
    raw_scores,
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
_FITTED_ON: tuple[Part, ...] = ("train", "validation")


@dataclass(frozen=True)
class FittedModel:
    """A booster with what scoring needs, and what training noticed.

    Attributes:
        metrics: Scores of the training and validation rows, named `<part>_<metric>`.
        curve: Validation loss after each round.
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
        TrainingError: Too few rows, labels that are all the same, no usable column, or `model.build_model` refuses its
            parameters.
    """
    _require_rows(use_case, examples)
    parts = split_by_time(use_case, examples)
    for part in ("train", "validation"):
        _require_different_labels(use_case, part, parts[part])
    features, constant = describe_columns(use_case, parts["train"])
    encoded = {part: _encode(features, parts[part]) for part in _FITTED_ON}
    known = {part: parts[part].labels for part in _FITTED_ON}
    booster, curve = _boost(
        use_case, features, (encoded["train"], known["train"]), (encoded["validation"], known["validation"])
    )
    raw = {part: raw_scores(booster, matrix, use_case.task) for part, matrix in encoded.items()}
    calibration = _calibrate(use_case, raw["validation"], known)
    description = ModelDescription(
        features=tuple(features),
        calibration=calibration,
        labels=tuple(use_case.prediction.labels),
        trees_sha256=hashlib.sha256(bytes(booster.save_raw("ubj"))).hexdigest(),
        task=use_case.task,
    )
    metrics = {
        f"{part}_{metric}": value
        for part in _FITTED_ON
        for metric, value in measure(use_case.task, known[part], calibration.scores(raw[part])).items()
    }
    return FittedModel(
        booster=booster,
        description=description,
        metrics=metrics,
        curve=curve,
        constant=constant,
        rows={name: len(part) for name, part in parts.items()},
        example=encoded["train"][:5],
    )


def _calibrate(use_case: UseCase, raw: Vector, known: Mapping[Part, Vector]) -> PlattCalibration | NoCalibration:
    """Return what makes probabilities of the validation days' raw scores; values of a regression stay as they are."""
    if use_case.task == "regression":
        return NoCalibration()
    rate = float(np.concatenate([known[part] for part in _FITTED_ON]).mean())
    return fit_calibration(raw, known["validation"], base_rate=rate)


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
            hint="build_model returns an unfitted model of xgboost for the task; correct it or training.parameters",
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


def _require_different_labels(use_case: UseCase, part: str, examples: Examples) -> None:
    if len(np.unique(examples.labels)) < 2:
        raise TrainingError(
            f"the {part} rows have one {'class' if use_case.task == 'classification' else 'label'} only",
            where=use_case.name,
            evidence=[f"{len(examples)} rows from {examples.times[0]} to {examples.times[-1]} UTC"],
            hint="load more days, or correct model.label",
        )
