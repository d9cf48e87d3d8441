"""`task`: what a model predicts, and what follows from it for labels, scores, baselines and gates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Task = Literal["classification", "regression"]


@dataclass(frozen=True)
class TaskRules:
    """What `use_case.yaml` may say for a task, and what holds where it says nothing.

    Attributes:
        metrics: Scores that a gate may compare.
        baselines: Simple models that a candidate is compared with.
        limits: Keys of `gates` that only this task has.
        defaults: Section → key → value.
    """

    metrics: tuple[str, ...]
    baselines: tuple[str, ...]
    limits: tuple[str, ...]
    defaults: Mapping[str, Mapping[str, Any]]


RULES: Mapping[Task, TaskRules] = {
    "classification": TaskRules(
        metrics=("log_loss", "brier"),
        baselines=("base_rate", "logistic_regression"),
        limits=("maximum_calibration_error", "mcnemar_alpha"),
        defaults={
            "prediction": {"labels": ["no", "yes"]},
            "gates": {"metric": "log_loss", "beat_baselines": ["base_rate"], "maximum_calibration_error": 0.05},
        },
    ),
    "regression": TaskRules(
        metrics=("mae", "rmse"),
        baselines=("mean", "last_value", "linear_regression"),
        limits=("maximum_relative_bias",),
        defaults={"gates": {"metric": "mae", "beat_baselines": ["mean"], "maximum_relative_bias": 0.1}},
    ),
}


def with_defaults(document: Any) -> Any:
    """Return the content of `use_case.yaml` with the defaults of its task; what is no such content stays as it is."""
    rules = RULES.get(document.get("task", "classification")) if isinstance(document, dict) else None
    if rules is None:
        return document
    filled = dict(document)
    for section, values in rules.defaults.items():
        given = filled.get(section, {})
        if isinstance(given, dict):
            filled[section] = {**values, **given}
    return filled
