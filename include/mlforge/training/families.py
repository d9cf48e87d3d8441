"""Model families: model.py's own, and those that MLForge brings."""

from __future__ import annotations

from typing import Any

from mlforge.errors import TrainingError
from mlforge.spec import UseCase
from mlforge.spec.module import load_model_module
from mlforge.training.plan import FitPlan


def build_estimator(use_case: UseCase, plan: FitPlan) -> Any:
    """Return the unfitted estimator of a plan.

    Raises:
        TrainingError: `model.build_model` refuses its parameters.
    """
    try:
        return load_model_module(use_case).build_model(dict(plan.parameters))
    except (TypeError, ValueError, AttributeError) as error:
        raise TrainingError(
            "the model cannot be built",
            where=f"{use_case.name}, model.build_model",
            evidence=[" ".join(str(error).split())[:300]],
            hint="correct it or training.parameters",
        ) from error
