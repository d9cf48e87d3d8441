"""The search for parameters, families and columns: one study in PostgreSQL that many workers share.

`plan_search` opens the study, each worker's `run_trials` tries plans until the study's budget is used up, and
`choose_tuning` takes the best. The same training set and settings are the same study: a search that was interrupted
goes on, one that is finished runs nothing more.
"""

from mlforge.training.search.choosing import choose_tuning
from mlforge.training.search.planning import plan_search
from mlforge.training.search.summaries import TrialSummary, study_trials
from mlforge.training.search.working import run_trials

__all__ = ["TrialSummary", "choose_tuning", "plan_search", "run_trials", "study_trials"]
