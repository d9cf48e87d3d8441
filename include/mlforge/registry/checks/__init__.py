"""The gate's checks, one module per kind: each looks at the evidence and says what is kept and what is not."""

from mlforge.registry.checks.check import Check, Figure
from mlforge.registry.checks.evidence import Evidence, Predictions, predict
from mlforge.registry.checks.run import run_checks
from mlforge.registry.checks.segments import Group

__all__ = ["Check", "Evidence", "Figure", "Group", "Predictions", "predict", "run_checks"]
