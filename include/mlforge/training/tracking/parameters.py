"""Parameters under the same names in every run, whatever the library calls them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mlforge.spec import UseCase
from mlforge.training.fitting import FittedModel

NOT_SET = "not set"
# Rounds of boosting; of a model without rounds it is the solver's limit.
_ITERATIONS = "max_iter"
# Our name → what the libraries call it. Ours is that of XGBoost's and LightGBM's scikit-learn interface.
_ALIASES: Mapping[str, tuple[str, ...]] = {
    "n_estimators": ("num_boost_round", "num_iterations", "num_trees", _ITERATIONS),
    "learning_rate": ("eta", "shrinkage_rate"),
    "max_depth": (),
    "max_leaves": ("num_leaves", "max_leaf_nodes"),
    "min_child_weight": ("min_sum_hessian_in_leaf",),
    "min_child_samples": ("min_data_in_leaf", "min_samples_leaf"),
    "subsample": ("bagging_fraction",),
    "colsample_bytree": ("feature_fraction", "max_features"),
    "reg_alpha": ("lambda_l1",),
    "reg_lambda": ("lambda_l2", "lambda", "l2_regularization"),
}
_OURS = {theirs: ours for ours, others in _ALIASES.items() for theirs in others}
_LONGEST = 500


def run_parameters(use_case: UseCase, fitted: FittedModel) -> dict[str, str]:
    """Return all parameters of a run; what a model has not set is there too, so that runs have the same names."""
    training, description = use_case.training, fitted.description
    folds = training.cross_validation.folds if training.cross_validation else 0
    return {
        "family": fitted.plan.family,
        "library": fitted.fitted.format,
        **model_parameters(fitted.plan.parameters, boosted=fitted.fitted.rounds is not None),
        "rounds": NOT_SET if fitted.fitted.rounds is None else str(fitted.fitted.rounds),
        "features": str(len(description.features)),
        "calibration": description.calibration.method,
        "class_balance": training.class_balance,
        "half_life_days": _text(training.half_life_days),
        "weight_column": _text(training.weight_column),
        "window_days": str(training.window_days),
        "validation_days": str(training.validation_days),
        "test_days": str(training.test_days),
        "cross_validation_folds": str(folds),
        "early_stopping_rounds": str(training.early_stopping_rounds),
        "constant_columns": ", ".join(fitted.constant)[:_LONGEST] or "none",
        **{f"{part}_rows": str(rows) for part, rows in fitted.rows.items()},
    }


def model_parameters(given: Mapping[str, Any], *, boosted: bool = True) -> dict[str, str]:
    """Return a model's parameters under our names: first those that most models have, then its others.

    Args:
        given: As `build_model` takes them.
        boosted: Whether it is fitted in rounds.
    """
    named = {}
    for name, value in given.items():
        ours = _OURS.get(name, name) if boosted or name != _ITERATIONS else name
        named[name if ours in given else ours] = value
    known = {name: _text(named.get(name)) for name in _ALIASES}
    return known | {name: _text(value) for name, value in sorted(named.items()) if name not in known}


def _text(value: Any) -> str:
    if value is None:
        return NOT_SET
    return value if isinstance(value, str) else json.dumps(value, default=str)[:_LONGEST]
