"""The model of next week's spend: plain functions that the stages call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def build_model(params: Mapping[str, Any]) -> Any:
    """Return an unfitted regressor of the mean."""
    from xgboost import XGBRegressor

    return XGBRegressor(objective="reg:tweedie", eval_metric="mae", tree_method="hist", **params)


def search_space(trial: Any) -> dict[str, Any]:
    """Return the parameters that a trial tries."""
    return {
        "learning_rate": trial.suggest_float("learning_rate", 0.01, 0.2, log=True),
        "max_depth": trial.suggest_int("max_depth", 3, 9),
        "min_child_weight": trial.suggest_float("min_child_weight", 1, 200, log=True),
        "subsample": trial.suggest_float("subsample", 0.5, 1.0),
        "colsample_bytree": trial.suggest_float("colsample_bytree", 0.4, 1.0),
        "reg_lambda": trial.suggest_float("reg_lambda", 0.1, 50, log=True),
    }


def label(outcome: Mapping[str, Sequence[float]]) -> list[float]:
    """Return what each household spent in the week, USD."""
    return [float(spend) for spend in outcome["spend"]]


def derive(request: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
    """Return what the request alone tells: benefits and wages come when a month begins.

    Training calls it with whole columns, serving with columns of one value: the same function, no skew.
    """
    return {"day_of_month": [moment.day for moment in request["week_start"]]}
