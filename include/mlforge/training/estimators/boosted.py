"""Fitting XGBoost's estimators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from mlforge.scoring import Feature, FormatName
from mlforge.scoring.formats.xgboost_trees import XGBoostTrees
from mlforge.spec import UseCase
from mlforge.training.estimators.base import SEED, THREADS, Fit, FittedEstimator, Labelled


class XGBoostFitter:
    """Fits an estimator of xgboost's scikit-learn interface."""

    name: ClassVar[FormatName] = "xgboost"

    def takes(self, estimator: Any) -> bool:
        """Return whether it is one of xgboost's."""
        return type(estimator).__module__.startswith("xgboost")

    def fit(
        self, use_case: UseCase, estimator: Any, features: Sequence[Feature], train: Labelled, validation: Labelled
    ) -> Fit:
        """Return the trees up to the round with the best validation loss."""
        from xgboost.callback import EarlyStopping

        estimator.set_params(
            random_state=SEED if estimator.random_state is None else estimator.random_state,
            n_jobs=THREADS,
            enable_categorical=True,
            feature_types=["c" if feature.kind == "category" else "q" for feature in features],
            # save_best drops the trees after the best round: the file holds what scores, nothing else.
            callbacks=[EarlyStopping(rounds=use_case.training.early_stopping_rounds, save_best=True)],
        )
        estimator.fit(
            train.matrix,
            train.labels,
            sample_weight=train.weights,
            eval_set=[(validation.matrix, validation.labels)],
            sample_weight_eval_set=None if validation.weights is None else [validation.weights],
            verbose=False,
        )
        booster = estimator.get_booster()
        booster.feature_names = [feature.name for feature in features]
        curve = next(iter(estimator.evals_result()["validation_0"].values()))
        return Fit(
            estimator=estimator,
            predictor=XGBoostTrees(booster),
            rounds=booster.num_boosted_rounds(),
            curve=tuple(float(value) for value in curve),
        )

    def write(self, use_case: UseCase, fit: Fit, features: Sequence[Feature]) -> FittedEstimator:
        """Return the trees as UBJSON."""
        booster = fit.estimator.get_booster()
        return FittedEstimator(
            format="xgboost",
            content=bytes(booster.save_raw("ubj")),
            estimator=booster,
            importance=dict(booster.get_score(importance_type="total_gain")),
            rounds=fit.rounds,
            curve=fit.curve,
        )
