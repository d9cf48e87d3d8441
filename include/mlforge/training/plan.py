"""What is fitted: a model family, its parameters, its columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from mlforge.refs import TrainingSet, Tuning
from mlforge.spec import UseCase

OWN = "own"


@dataclass(frozen=True)
class FitPlan:
    """What is fitted.

    Attributes:
        family: `own` for model.py's `build_model`, else one that MLForge brings.
        parameters: What the model is built with.
        features: Columns that it takes; none for all.
    """

    family: str
    parameters: Mapping[str, Any]
    features: tuple[str, ...] = ()

    @classmethod
    def of(cls, use_case: UseCase, given: TrainingSet | Tuning | None = None) -> Self:
        """Return what a search found, or model.py's model with `training.parameters` where there was none."""
        if isinstance(given, Tuning):
            return cls(given.family, given.parameters, given.features)
        return cls(OWN, dict(use_case.training.parameters))
