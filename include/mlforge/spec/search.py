"""`cross_validation`, `search` and `select_features` of `training`: how parameters and columns are found."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from mlforge.spec.base import SpecModel

Family = Literal["own", "xgboost", "lightgbm", "hist_gradient_boosting", "linear"]


class CrossValidation(SpecModel):
    """Folds in the order of time: each is validated on the days after those that it is fitted on.

    Attributes:
        folds: How many.
        days: Days that each fold is validated on.
        window: `expanding`: a fold is fitted on all that is older; `sliding`: on as many days as the first one.
        gap_days: Days left out between fitting and validation.
    """

    folds: int = Field(default=5, ge=2)
    days: int = Field(default=7, ge=1)
    window: Literal["expanding", "sliding"] = "expanding"
    gap_days: int = Field(default=0, ge=0)


class Search(SpecModel):
    """A search for parameters, by model.py's `search_space` or over whole families of models.

    Attributes:
        trials: Budget in trials; none for no limit.
        minutes: Budget in minutes of wall clock over all workers; none for no limit.
        families: Model families that are tried under the one budget; `own` is model.py's.
        every_days: An earlier search's finding is used as long as it is younger than this.
        workers: Airflow tasks that share the study; 0 for one per core found.
        seed: Of the sampler.
    """

    trials: int | None = Field(default=30, ge=1)
    minutes: float | None = Field(default=None, gt=0)
    families: list[Family] = Field(default=["own"], min_length=1)
    every_days: int = Field(default=7, ge=1)
    workers: int = Field(default=0, ge=0)
    seed: int = 20130101

    @model_validator(mode="after")
    def _has_a_budget(self) -> Self:
        if self.trials is None and self.minutes is None:
            raise ValueError("training.search needs a budget: trials, minutes, or both")
        return self


class FeatureSelection(SpecModel):
    """Columns that earn nothing are left out.

    Attributes:
        method: `permutation`: how much worse the validation loss is when a column is shuffled; `shap`: mean absolute
            SHAP value.
        keep: Share of the whole importance that the kept columns have together.
        maximum_features: No more columns than that; none for no limit.
    """

    method: Literal["permutation", "shap"] = "permutation"
    keep: float = Field(default=0.99, gt=0, le=1)
    maximum_features: int | None = Field(default=None, ge=1)
