"""XGBoost's trees as UBJSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from mlforge.errors import TerminalError
from mlforge.scoring.description import FormatName, Matrix, Vector
from mlforge.spec.task import Task

if TYPE_CHECKING:
    from xgboost import Booster

# What a calibration starts from: log-odds, or the value itself, whatever link the objective has.
_RAW: Mapping[Task, str] = {"classification": "margin", "regression": "value"}


@dataclass(frozen=True)
class XGBoostTrees:
    """Boosted trees of XGBoost."""

    booster: Booster

    @property
    def n_features(self) -> int:
        """Columns of the matrix that the trees read."""
        return int(self.booster.num_features())

    def raw_scores(self, matrix: Matrix, task: Task) -> Vector:
        """Return the scores before calibration, shape (n_rows,)."""
        raw = self.booster.inplace_predict(matrix, predict_type=_RAW[task], missing=np.nan)
        scores: Vector = np.asarray(raw, dtype=np.float64)
        return scores

    def contributions(self, matrix: Matrix) -> Matrix | None:
        """Return SHAP values and the base value, in log-odds or the value before its link."""
        from xgboost import DMatrix

        types = self.booster.feature_types
        data = DMatrix(matrix, feature_types=types, feature_names=self.booster.feature_names, enable_categorical=True)
        values: Matrix = self.booster.predict(data, pred_contribs=True)
        return values


class XGBoostFormat:
    """`model.ubj`, as MLflow's xgboost flavour writes it."""

    name: ClassVar[FormatName] = "xgboost"
    file: ClassVar[str] = "model.ubj"

    def load(self, content: bytes, trusted_types: Sequence[str] = ()) -> XGBoostTrees:
        """Return the trees; they score in one thread.

        Raises:
            TerminalError: They cannot be read.
        """
        from xgboost import Booster
        from xgboost.core import XGBoostError

        # XGBoost ends the whole process, or never comes back, when a file is no object from brace to brace.
        if not (content.startswith(b"{") and content.endswith(b"}")):
            raise TerminalError(f"{self.file} cannot be read", hint="download it again")
        try:
            return XGBoostTrees(Booster({"nthread": 1}, model_file=bytearray(content)))
        except XGBoostError as error:
            raise TerminalError(f"{self.file} cannot be read", hint="download it again") from error
