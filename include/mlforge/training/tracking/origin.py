"""What a model was made from, whole: the artifact `origin.json` of its run, which `mlforge reproduce` reads."""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict

from mlforge.refs import TrainingSet
from mlforge.training.fitting import FittedModel
from mlforge.training.plan import FitPlan
from mlforge.training.tracking.attempts import Attempt
from mlforge.training.tracking.environment import environment

FILE = "origin.json"


class Origin(BaseModel):
    """What a model was made from.

    Attributes:
        training_set: The snapshot.
        family: Model family.
        parameters: What the model was built with.
        features: Columns that were chosen; none for all.
        fingerprints: Kind of input → its hash or version.
        environment: Python, libraries, threads.
        content_hash: Of the model's file and description.
        model_sha256: Of the model's file.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())

    training_set: TrainingSet
    family: str
    parameters: dict[str, Any]
    features: tuple[str, ...]
    fingerprints: dict[str, str]
    environment: dict[str, Any]
    content_hash: str
    model_sha256: str

    @classmethod
    def of(cls, attempt: Attempt, fitted: FittedModel) -> Self:
        """Return what a model was just made from."""
        return cls(
            training_set=attempt.training_set,
            family=fitted.plan.family,
            parameters=dict(fitted.plan.parameters),
            features=fitted.plan.features,
            fingerprints=dict(attempt.fingerprints),
            environment=environment(attempt.fingerprints),
            content_hash=fitted.content_hash,
            model_sha256=fitted.description.model_sha256 or "",
        )

    @property
    def plan(self) -> FitPlan:
        """What was fitted."""
        return FitPlan(self.family, self.parameters, self.features)
