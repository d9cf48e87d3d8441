"""Training: from a training set to a candidate in MLflow, and its scores on days that it has not seen.

`train_candidate` fits, calibrates and logs; `evaluate_candidate` scores the test days beside simple baselines. Both
run in any order of days and any number of times: the same training set and code give the same model and one run.
"""

from mlforge.training.evaluate import evaluate_candidate
from mlforge.training.train import train_candidate

__all__ = ["evaluate_candidate", "train_candidate"]
