"""TrainingSet → Tuning: a search that mapped tasks share, one per worker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlforge_airflow.operators.base import StageOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from mlforge.refs import Ref
    from mlforge.stages import StageRun


class PlanSearchOperator(StageOperator):
    """Plans the search for parameters, families and columns, and says how many workers share it.

    An earlier search's finding is used again when it was made with the same settings and is younger than
    `training.search.every_days`; its log says so.

    Args:
        training_set: Ref of the training set.
    """

    effect = "partition"
    stage, takes = "plan-search", "training_set"
    template_fields = ("use_case", "training_set")

    def __init__(self, *, training_set: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.training_set = training_set

    def execute(self, context: Context) -> Any:
        """Plan, and return the search once for each of its workers: the next task is mapped over them."""
        from mlforge.refs import PlannedSearch

        planned = PlannedSearch.load(self.perform(context) or {})
        self.log.info(planned.note)
        return [share.dump() for share in planned.shares]


class RunTrialsOperator(StageOperator):
    """One worker of a search: runs trials until the budget of the whole study is used up.

    A task that is killed starts again and goes on with the study; the trial that it had begun is repeated.

    Args:
        search: Ref of the planned search.
    """

    effect = "partition"
    stage, takes = "run-trials", "search"
    template_fields = ("use_case", "search")

    def __init__(self, *, search: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.search = search


class ChooseTuningOperator(StageOperator):
    """Chooses the trial with the smallest loss over the folds, and the columns that are worth it.

    Args:
        search: Ref of the planned search, once for each worker.
    """

    effect = "partition"
    stage, takes = "choose", "search"
    template_fields = ("use_case", "search")

    def __init__(self, *, search: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.search = search

    def run_stage(self, run: StageRun) -> Ref:
        """Choose, for the search that all workers were given."""
        from mlforge import stages
        from mlforge.refs import PlannedSearch

        return stages.choose(run, PlannedSearch.load(self.search[0]))
