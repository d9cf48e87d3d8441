"""`gates`: what a candidate must show before it may become champion."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mlforge.spec.base import Fraction, SpecModel


class Segment(SpecModel):
    """A guardrail: in no group of rows may the candidate be much worse than the champion.

    Attributes:
        by: Column of the training set whose values make the groups, such as `carrier`.
        margin: How much worse the interval's lower end may be, in the metric's unit: a group fails when it is surely
            worse than that.
        minimum_rows: Smaller groups are told, not judged.
    """

    by: str
    margin: float = Field(ge=0)
    minimum_rows: int = Field(default=200, ge=10)


class Gates(SpecModel):
    """What a candidate must show. Defaults are those of the use case's task, see `mlforge.spec.task`.

    Attributes:
        metric: Score that is compared; smaller is better. `log_loss` or `brier`; for a regression `mae` or `rmse`; or
            one of `training.losses`.
        rule: `non_inferiority`: no worse than the champion by more than the margin. `superiority`: surely better.
        non_inferiority_margin: How much worse than the champion the interval's upper end may be, in the metric's unit.
        alpha: The paired bootstrap interval covers 1 - 2 * alpha.
        bootstrap_samples: Resamples of the test rows.
        resample: What is drawn: single rows, or whole hours or days where rows of one hour or day go together.
        beat_baselines: Baselines whose metric the candidate must beat.
        maximum_calibration_error: Largest expected calibration error of a classification.
        maximum_relative_bias: Largest mean error of a regression, up or down, as a share of the mean outcome.
        mcnemar_alpha: A classification is refused when McNemar's test finds its labels worse at this level.
        segments: Guardrails per group of rows.
        maximum_latency_ms: Longest time to score one row, median, milliseconds.
        maximum_size_mb: Largest model file, MB.
        maximum_quarantined: Largest share of the training window's rows that broke their contract.
        maximum_drifted: Largest share of columns in which the test days have drifted from the training rows.
        approval: Whether a person is asked before promotion.
    """

    metric: str = "log_loss"
    rule: Literal["non_inferiority", "superiority"] = "non_inferiority"
    non_inferiority_margin: float = Field(default=0.002, ge=0)
    alpha: float = Field(default=0.025, gt=0, lt=0.5)
    bootstrap_samples: int = Field(default=1000, ge=100)
    resample: Literal["row", "hour", "day"] = "row"
    beat_baselines: list[Literal["base_rate", "logistic_regression", "mean", "last_value", "linear_regression"]] = (
        Field(default=["base_rate"])
    )
    maximum_calibration_error: float | None = Field(default=None, gt=0)
    maximum_relative_bias: float | None = Field(default=None, gt=0)
    mcnemar_alpha: float | None = Field(default=None, gt=0, lt=0.5)
    segments: list[Segment] = Field(default_factory=list)
    maximum_latency_ms: float | None = Field(default=None, gt=0)
    maximum_size_mb: float | None = Field(default=None, gt=0)
    maximum_quarantined: Fraction | None = None
    maximum_drifted: Fraction | None = None
    approval: bool = False
