"""What MLflow keeps of a candidate: one run per attempt, one model, one version.

`attempts` finds, opens, resumes and marks runs; `run_log` writes what a fit and its evaluation say; `model_store`
writes the model itself and reads it back; `registration` makes it a version; `trials` adds the trials of a search;
`origin` is what is needed to train it again.
"""

from mlforge.training.tracking.abandoned import mark_abandoned_runs
from mlforge.training.tracking.attempts import Attempt, find_run, finished_candidate, open_run
from mlforge.training.tracking.run_log import log_evaluation, log_fit
from mlforge.training.tracking.trials import log_trials

__all__ = [
    "Attempt",
    "find_run",
    "finished_candidate",
    "log_evaluation",
    "log_fit",
    "log_trials",
    "mark_abandoned_runs",
    "open_run",
]
