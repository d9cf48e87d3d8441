"""Fitting LightGBM's estimators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from mlforge.scoring import Feature, FormatName
from mlforge.scoring.formats.lightgbm_trees import LightGBMFormat, import_lightgbm
from mlforge.spec import UseCase
from mlforge.training.estimators.base import SEED, THREADS, Fit, FittedEstimator, Labelled


class LightGBMFitter:
    """Fits an estimator of lightgbm's scikit-learn interface."""

    name: ClassVar[FormatName] = "lightgbm"

    def takes(self, estimator: Any) -> bool:
        """Return whether it is one of lightgbm's."""
        return type(estimator).__module__.startswith("lightgbm")

    def fit(
        self, use_case: UseCase, estimator: Any, features: Sequence[Feature], train: Labelled, validation: Labelled
    ) -> Fit:
        """Return the trees up to the round with the best validation loss."""
        library = import_lightgbm()
        given = estimator.get_params()
        # Without a layout of its own choosing LightGBM times both and takes the faster one of this moment.
        layout = {} if given.get("force_col_wise") else {"force_row_wise": True}
        estimator.set_params(
            random_state=SEED if given["random_state"] is None else given["random_state"],
            n_jobs=THREADS,
            deterministic=True,
            verbosity=-1,
            **layout,
        )
        estimator.fit(
            train.matrix,
            train.labels,
            sample_weight=train.weights,
            eval_X=validation.matrix,
            eval_y=validation.labels,
            eval_sample_weight=None if validation.weights is None else [validation.weights],
            feature_name=[feature.name for feature in features],
            categorical_feature=[place for place, feature in enumerate(features) if feature.kind == "category"],
            callbacks=[library.early_stopping(use_case.training.early_stopping_rounds, verbose=False)],
        )
        # Read back: the file has the trees up to the best round, the booster has them all.
        rounds = estimator.best_iteration_ or estimator.n_estimators_
        content = estimator.booster_.model_to_string(num_iteration=rounds).encode()
        losses: dict[str, list[float]] = next(iter(estimator.evals_result_.values()), {})
        return Fit(
            estimator=estimator,
            predictor=LightGBMFormat().load(content),
            rounds=int(rounds),
            curve=tuple(float(value) for value in next(iter(losses.values()), ())),
        )

    def write(self, use_case: UseCase, fit: Fit, features: Sequence[Feature]) -> FittedEstimator:
        """Return the trees as LightGBM's text."""
        booster = fit.estimator.booster_
        gains = booster.feature_importance(importance_type="gain", iteration=fit.rounds)
        return FittedEstimator(
            format="lightgbm",
            content=booster.model_to_string(num_iteration=fit.rounds).encode(),
            estimator=booster,
            importance={feature.name: float(gain) for feature, gain in zip(features, gains, strict=True) if gain > 0},
            rounds=fit.rounds,
            curve=fit.curve,
        )
