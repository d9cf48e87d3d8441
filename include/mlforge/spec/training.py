"""`training`, `rollout` and `monitors`: how a model comes to be, goes live, and is watched."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from mlforge.spec.base import Fraction, Identifier, SpecModel
from mlforge.spec.search import CrossValidation, FeatureSelection, Search


class Training(SpecModel):
    """How a candidate is trained.

    Attributes:
        spine: SQL file that gives the examples: keys, request fields, moment, `known_at`, and the outcome.
        outcome: Columns of the spine that are known afterwards only; `model.label` reads them.
        window_days: How many days before the as-of instant are used.
        validation_days: Days before the test days, for early stopping and calibration.
        test_days: Newest days, for the scores.
        minimum_rows: Fewer labelled rows are an error.
        parameters: What `model.build_model` is given.
        drop_features: Feature columns that the model does not take.
        absent_views: View → share of the training rows that lose its values, because serving may lack them too: an
            online value older than the view's time to live counts as missing.
        last_value: Feature column with the newest known value of what a regression predicts. It is the naive forecast
            that the baseline `last_value` repeats.
        calibration: How a classification's scores become probabilities, fitted on the validation days.
        class_balance: `balanced`: both classes weigh the same in fitting, whatever their rows.
        half_life_days: A row this much older weighs half as much in fitting; none for equal weights.
        weight_column: Column of the training set that holds each row's weight in fitting, above zero.
        losses: Functions of model.py, `(labels, scores)` → the loss of each row: told, and fit for `gates.metric`.
        metrics: Functions of model.py, `(labels, scores)` → one number: told everywhere.
        trusted_types: Types beyond scikit-learn's own that a model file may hold, such as `package.module.Class`; the
            classes of model.py are trusted by `model.Class`.
        cross_validation: Folds in the order of time; none for the validation days alone.
        search: A search for parameters before each training; none for `parameters` as they are.
        select_features: Leaves out columns that earn nothing; none for all of them.
    """

    spine: str = "spine.sql"
    outcome: list[str]
    window_days: int = Field(default=90, ge=3)
    validation_days: int = Field(default=10, ge=1)
    test_days: int = Field(default=7, ge=1)
    minimum_rows: int = Field(default=1000, ge=10)
    parameters: dict[str, Any] = Field(default_factory=dict)
    early_stopping_rounds: int = Field(default=30, ge=1)
    drop_features: list[str] = Field(default_factory=list)
    absent_views: dict[Identifier, Fraction] = Field(default_factory=dict)
    last_value: str | None = None
    calibration: Literal["sigmoid", "isotonic", "none"] = "sigmoid"
    class_balance: Literal["none", "balanced"] = "none"
    half_life_days: float | None = Field(default=None, gt=0)
    weight_column: str | None = None
    losses: list[Identifier] = Field(default_factory=list)
    metrics: list[Identifier] = Field(default_factory=list)
    trusted_types: list[str] = Field(default_factory=list)
    cross_validation: CrossValidation | None = None
    search: Search | None = None
    select_features: FeatureSelection | None = None

    @property
    def searches(self) -> bool:
        """Whether something is searched before each training: parameters, a family, or columns."""
        return self.search is not None or self.select_features is not None


class Rollout(SpecModel):
    """How traffic moves to a new release.

    Attributes:
        smoke_requests: Real rows whose answers must agree with offline scores before any traffic.
        score_tolerance: Largest difference between an answer and the offline score.
        drain_seconds: How long the old server finishes what it has begun.
    """

    smoke_requests: int = Field(default=20, ge=1)
    score_tolerance: float = Field(default=1e-6, ge=0)
    drain_seconds: float = Field(default=2.0, ge=0)


class Monitors(SpecModel):
    """What is watched.

    Attributes:
        drift_columns: Feature columns that are compared with the training set; empty means all numeric ones.
        psi_threshold: Population stability index from which on a column has drifted.
        window_days: Days up to the partition that are compared together.
        alert_share: Share of drifted columns from which on an alert is raised.
    """

    drift_columns: list[str] = Field(default_factory=list)
    psi_threshold: float = Field(default=0.25, gt=0)
    window_days: int = Field(default=7, ge=1)
    alert_share: Fraction = 0.5
