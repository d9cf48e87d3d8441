"""What OpenLineage is told about our tasks: the provider's listener asks each operator at its start and its end.

The datasets come from the refs that the operator was given and returned; `mlforge.lineage` knows how.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import Asset

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage

    from mlforge.lineage.stage_lineage import StageLineage, Work
    from mlforge.refs import Ref
    from mlforge.stages import StageRun

# Outlets that are other names of a dataset which the stage writes anyway.
_ALIASES = ("published/", "champion", "deployment")


class TellsLineage:
    """What an operator says of itself, and how the provider's listener asks for it.

    Attributes:
        stage: Its name in `mlforge.stages.STAGES`, or another that `mlforge.lineage` describes; empty for none.
        takes: Name of the attribute that holds the ref which the stage takes; empty for none.
        use_case: Name of the use case.
        stage_run: For what it runs, once that is known.
        stage_ref: What it returned, once it did.
        outlets: Assets of Airflow that it tells about.
    """

    stage: ClassVar[str] = ""
    takes: ClassVar[str] = ""
    use_case: str
    stage_run: StageRun | None = None
    stage_ref: Ref | None = None
    outlets: list[Any]

    def get_openlineage_facets_on_start(self) -> OperatorLineage[Any, Any]:
        """Return what the task is going to read, as far as it is known."""
        return operator_lineage(self)

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage[Any, Any]:
        """Return what the task has read and written."""
        return operator_lineage(self, done=True)

    def get_openlineage_facets_on_failure(self, task_instance: Any) -> OperatorLineage[Any, Any]:
        """Return what the task has read, and for a contract what it found."""
        return operator_lineage(self, done=True, failed=True)


def operator_lineage(operator: TellsLineage, *, done: bool = False, failed: bool = False) -> OperatorLineage[Any, Any]:
    """Return what an operator's task reads and writes, as the provider wants it.

    Args:
        operator: As it is in its task: templates rendered, and at its end with its run and its ref.
        done: Whether the task has come to its end; before that nothing is looked up.
        failed: Whether that end was an error.
    """
    from airflow.providers.openlineage.extractors import OperatorLineage

    from mlforge.lineage.stage_lineage import describe_stage

    _make_room()
    lineage = describe_stage(_work(operator, done=done, failed=failed))
    if done and not failed:
        _add_outlets(operator, lineage)
    return OperatorLineage(
        inputs=lineage.inputs, outputs=lineage.outputs, job_facets=lineage.job_facets, run_facets=lineage.run_facets
    )


def _make_room() -> None:
    """Let the transport write its file, where it writes one."""
    from mlforge.lineage.events_file import make_room
    from mlforge.settings import get_settings

    settings = get_settings()
    if not settings.lineage_url:
        make_room(settings.home / "lineage" / "events.jsonl")


def _work(operator: TellsLineage, *, done: bool, failed: bool) -> Work:
    from mlforge.lineage.stage_lineage import Work
    from mlforge.spec import load_use_case

    run = operator.stage_run
    return Work(
        stage=operator.stage,
        use_case=run.use_case if run is not None else load_use_case(operator.use_case),
        days=run.days if run is not None else None,
        given=_given(operator.stage, getattr(operator, operator.takes, None)) if operator.takes else None,
        result=operator.stage_ref,
        done=done,
        failed=failed,
    )


def _given(stage: str, value: Any) -> Ref | None:
    """Return the ref in an operator's argument; none when the task before gave none."""
    from mlforge import refs
    from mlforge.stages import STAGES

    if stage not in STAGES or STAGES[stage].input is None or not isinstance(value, dict | refs.Ref):
        return None
    return STAGES[stage].load_input(value)


def _add_outlets(operator: TellsLineage, lineage: StageLineage) -> None:
    """Add the assets of Airflow that the task tells about, so that its graph and this one meet."""
    from mlforge.lineage.names import asset_name

    scheme = f"mlforge://{operator.use_case}/"
    for outlet in operator.outlets:
        noun = outlet.uri.removeprefix(scheme) if isinstance(outlet, Asset) else ""
        if noun and not noun.startswith(_ALIASES):
            lineage.write(asset_name(operator.use_case, noun))
