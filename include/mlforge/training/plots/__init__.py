"""What a person looks at: figures of a candidate's scores on the test days, beside those of the baselines."""

from mlforge.training.plots.evaluation import Scored, draw_evaluation

__all__ = ["Scored", "draw_evaluation"]
