"""The model of late arrivals: plain functions that the stages call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

LATE_MINUTES = 15
NEW_YORK = ZoneInfo("America/New_York")


def build_model(params: Mapping[str, Any]) -> Any:
    """Return an unfitted classifier."""
    from xgboost import XGBClassifier

    return XGBClassifier(objective="binary:logistic", eval_metric="logloss", tree_method="hist", **params)


def search_space(trial: Any) -> dict[str, Any]:
    """Return the parameters that a trial tries."""
    return {
        "learning_rate": trial.suggest_float("learning_rate", 0.03, 0.2, log=True),
        "max_depth": trial.suggest_int("max_depth", 3, 7),
        "min_child_weight": trial.suggest_float("min_child_weight", 1, 100, log=True),
        "subsample": trial.suggest_float("subsample", 0.5, 1.0),
        "colsample_bytree": trial.suggest_float("colsample_bytree", 0.4, 1.0),
        "reg_lambda": trial.suggest_float("reg_lambda", 0.1, 50, log=True),
    }


def label(outcome: Mapping[str, Sequence[float]]) -> list[float]:
    """Return 1.0 for each flight that arrived more than 15 minutes late, else 0.0."""
    return [float(minutes > LATE_MINUTES) for minutes in outcome["arr_delay"]]


def derive(request: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
    """Return what the request alone tells, in the local time of New York.

    Training calls it with whole columns, serving with columns of one value: the same function, no skew.
    """
    local = [_local(moment) for moment in request["scheduled_departure"]]
    return {
        "sched_hour": [moment.hour for moment in local],
        "sched_minute": [moment.minute for moment in local],
        "weekday": [moment.weekday() for moment in local],
    }


def _local(moment: datetime) -> datetime:
    return moment.astimezone(NEW_YORK)
