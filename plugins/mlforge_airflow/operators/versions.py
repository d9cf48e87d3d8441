"""PublishedPartition or TrainingSet → a dataset version, for whoever wants one in a chain of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlforge_airflow.operators.base import StageOperator

if TYPE_CHECKING:
    from mlforge.refs import Ref
    from mlforge.stages import StageRun


class CreateDatasetVersionOperator(StageOperator):
    """Makes a version of what a dataset has published, or of a training set; the same content again makes none.

    Args:
        dataset: Name of a dataset: all of its published partitions. Or give `training_set`.
        training_set: `newest`, the partition that a training set ends with, or the id of a release.
        note: Why it is made.
    """

    effect = "partition"
    stage = "create-version"
    template_fields = ("use_case", "dataset", "training_set", "note")

    def __init__(
        self, *, dataset: str | None = None, training_set: str | None = None, note: str = "", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.dataset = dataset
        self.training_set = training_set
        self.note = note

    def run_stage(self, run: StageRun) -> Ref:
        """Make the version."""
        from mlforge.versions import create_version

        created = create_version(
            run.use_case,
            dataset=self.dataset,
            training_set=self.training_set,
            note=self.note,
            who=run.who,
            run_id=run.run_id,
        )
        self.log.info("%s %s", created.version.name, "is made" if created.new else "holds the same already")
        return created.reference(run.days.key)
