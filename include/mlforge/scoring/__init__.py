"""Scoring with a trained model: the same code in training, at the gate, behind the gateway and in monitoring.

A model is a folder as MLflow's flavour of its library writes it. What MLflow does not know (names, kinds and categories
of the columns, the calibration, the labels) lies in `metadata.mlforge` of its `MLmodel` file. Neither MLflow nor pandas
is needed to read it, and nothing in it is a pickle.
"""

from mlforge.scoring.description import (
    METADATA_KEY,
    Calibration,
    Columns,
    Feature,
    FormatName,
    IsotonicCalibration,
    LogOddsCalibration,
    Matrix,
    ModelDescription,
    NoCalibration,
    PlattCalibration,
    Values,
    Vector,
)
from mlforge.scoring.encoding import encode_columns
from mlforge.scoring.formats import FORMATS, ModelFormat, Predictor
from mlforge.scoring.model import ScoringModel, model_format, model_hash, raw_scores

__all__ = [
    "FORMATS",
    "METADATA_KEY",
    "Calibration",
    "Columns",
    "Feature",
    "FormatName",
    "IsotonicCalibration",
    "LogOddsCalibration",
    "Matrix",
    "ModelDescription",
    "ModelFormat",
    "NoCalibration",
    "PlattCalibration",
    "Predictor",
    "ScoringModel",
    "Values",
    "Vector",
    "encode_columns",
    "model_format",
    "model_hash",
    "raw_scores",
]
