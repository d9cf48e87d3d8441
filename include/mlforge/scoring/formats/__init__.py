"""The files that models are kept in: each library's own format, never a pickle."""

from __future__ import annotations

from collections.abc import Mapping

from mlforge.scoring.description import FormatName
from mlforge.scoring.formats.base import ModelFormat, Predictor
from mlforge.scoring.formats.lightgbm_trees import LightGBMFormat
from mlforge.scoring.formats.skops_estimators import SklearnFormat
from mlforge.scoring.formats.xgboost_trees import XGBoostFormat

FORMATS: Mapping[FormatName, ModelFormat] = {
    each.name: each for each in (XGBoostFormat(), LightGBMFormat(), SklearnFormat())
}

__all__ = ["FORMATS", "ModelFormat", "Predictor"]
