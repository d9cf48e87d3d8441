"""`training`, `gates`, `rollout` and `monitors`: how a model comes to be, goes live, and is watched."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from mlforge.spec.base import Fraction, Identifier, SpecModel


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


class Gates(SpecModel):
    """What a candidate must show. Defaults are those of the use case's task, see `mlforge.spec.task`.

    Attributes:
        metric: Score that is compared; smaller is better. `log_loss` or `brier`; for a regression `mae` or `rmse`.
        non_inferiority_margin: How much worse than the champion the interval's upper end may be, in the metric's unit.
        alpha: The paired bootstrap interval covers 1 - 2 * alpha.
        bootstrap_samples: Resamples of the test rows.
        beat_baselines: Baselines whose metric the candidate must beat.
        maximum_calibration_error: Largest expected calibration error of a classification.
        maximum_relative_bias: Largest mean error of a regression, up or down, as a share of the mean outcome.
    """

    metric: Literal["log_loss", "brier", "mae", "rmse"] = "log_loss"
    non_inferiority_margin: float = Field(default=0.002, ge=0)
    alpha: float = Field(default=0.025, gt=0, lt=0.5)
    bootstrap_samples: int = Field(default=1000, ge=100)
    beat_baselines: list[Literal["base_rate", "logistic_regression", "mean", "last_value", "linear_regression"]] = (
        Field(default=["base_rate"])
    )
    maximum_calibration_error: float | None = Field(default=None, gt=0)
    maximum_relative_bias: float | None = Field(default=None, gt=0)
    approval: bool = False


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
