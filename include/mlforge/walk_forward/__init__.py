"""The walk through history: trained as of each week, scored on it, beside what is live."""

from mlforge.walk_forward.walk import TooEarlyError, prepare_week, run_week, score_week, train_week

__all__ = ["TooEarlyError", "prepare_week", "run_week", "score_week", "train_week"]
