"""LightGBM's trees as its own text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from mlforge.errors import TerminalError
from mlforge.scoring.description import FormatName, Matrix, Vector
from mlforge.spec.task import Task

if TYPE_CHECKING:
    from lightgbm import Booster


def import_lightgbm() -> ModuleType:
    """Return the library.

    Raises:
        TerminalError: It needs a library of the system that its wheel does not bring.
    """
    try:
        import lightgbm
    except OSError as error:
        raise TerminalError(
            "LightGBM cannot be loaded: a library of the system is missing",
            evidence=[" ".join(str(error).split())[:200]],
            hint="install the package libgomp1 (apt-get install libgomp1; libgomp on Fedora and Alpine)",
        ) from error
    module: ModuleType = lightgbm
    return module


@dataclass(frozen=True)
class LightGBMTrees:
    """Boosted trees of LightGBM."""

    booster: Booster

    @property
    def n_features(self) -> int:
        """Columns of the matrix that the trees read."""
        return int(self.booster.num_feature())

    def raw_scores(self, matrix: Matrix, task: Task) -> Vector:
        """Return the scores before calibration, shape (n_rows,)."""
        raw = self.booster.predict(matrix, raw_score=task == "classification", num_threads=1)
        scores: Vector = np.asarray(raw, dtype=np.float64)
        return scores

    def contributions(self, matrix: Matrix) -> Matrix | None:
        """Return SHAP values and the base value, in log-odds or the value before its link."""
        values: Matrix = np.asarray(self.booster.predict(matrix, pred_contrib=True, num_threads=1), dtype=np.float32)
        return values


class LightGBMFormat:
    """`model.lgb`, as MLflow's lightgbm flavour writes it."""

    name: ClassVar[FormatName] = "lightgbm"
    file: ClassVar[str] = "model.lgb"

    def load(self, content: bytes, trusted_types: Sequence[str] = ()) -> LightGBMTrees:
        """Return the trees; they score in one thread.

        Raises:
            TerminalError: They cannot be read, or LightGBM cannot be loaded.
        """
        library = import_lightgbm()
        try:
            return LightGBMTrees(library.Booster(model_str=content.decode()))
        except (library.basic.LightGBMError, UnicodeDecodeError) as error:
            raise TerminalError(f"{self.file} cannot be read", hint="download it again") from error
