"""assemble_training_set → (plan_search → run_trials → choose) → train → evaluate → gate → (approve) → promote."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG, PartitionedAssetTimetable

from mlforge_airflow.assets import use_case_asset
from mlforge_airflow.chains.frame import act_live_param, chain_dag
from mlforge_airflow.operators.features import AssembleTrainingSetOperator
from mlforge_airflow.operators.registry import GateCandidateOperator, PromoteCandidateOperator
from mlforge_airflow.operators.training import EvaluateCandidateOperator, TrainCandidateOperator

if TYPE_CHECKING:
    from mlforge.spec import UseCase

_DOC = """
Trains a candidate with everything that was known at the end of a {period}, and promotes it when it has shown enough.

- **It starts** when the data chain asks for it, for the newest {period} only; or by hand, with a partition key.
- **A search** goes before it where use_case.yaml asks for one: as many mapped tasks `run_trials` as there are cores
  share one study and its budget. An earlier search's finding is used again as long as it is young enough.
- **The gate** compares candidate and champion on the same rows. When it refuses, `promote` is skipped and the log of
  `gate` names the reasons; the champion stays.
- **For an older {period}** everything runs but the promotion, unless you set `act_live`.

What follows: the asset `champion` starts *release*.
"""


def training_chain(use_case: UseCase) -> DAG:
    """Return the DAG that trains a candidate and promotes it when the gate lets it pass."""
    name = use_case.name
    dag = chain_dag(
        use_case,
        "training",
        description="a candidate, trained, judged and promoted",
        doc=_DOC.format(period=use_case.schedule.period),
        schedule=PartitionedAssetTimetable(assets=use_case_asset(name, "training_request")),
        max_active_runs=1,
        params={"act_live": act_live_param()},
    )
    with dag:
        assemble = AssembleTrainingSetOperator(task_id="assemble_training_set", use_case=name)
        given = _search(use_case, assemble) if use_case.training.searches else assemble.output
        train = TrainCandidateOperator(task_id="train", use_case=name, training_set=given)
        evaluate = EvaluateCandidateOperator(task_id="evaluate", use_case=name, candidate=train.output)
        gate = GateCandidateOperator(task_id="gate", use_case=name, candidate=evaluate.output)
        PromoteCandidateOperator(
            task_id="promote",
            use_case=name,
            decision=gate.output,
            approval=_ask(use_case, gate) if use_case.gates.approval else None,
            outlets=[use_case_asset(name, "champion")],
        )
    return dag


def _search(use_case: UseCase, assemble: AssembleTrainingSetOperator) -> Any:
    """Return what the search's last task gives; its trials are run by as many mapped tasks as it has workers."""
    from mlforge_airflow.operators.base import describe
    from mlforge_airflow.operators.search import ChooseTuningOperator, PlanSearchOperator, RunTrialsOperator

    name = use_case.name
    plan = PlanSearchOperator(task_id="plan_search", use_case=name, training_set=assemble.output)
    run = RunTrialsOperator.partial(
        task_id="run_trials",
        use_case=name,
        doc_md=describe(RunTrialsOperator, RunTrialsOperator.effect),
        map_index_template="worker {{ task.search['worker'] }}",
    ).expand(search=plan.output)
    choose = ChooseTuningOperator(task_id="choose", use_case=name, search=plan.output)
    run >> choose
    return choose.output


def _ask(use_case: UseCase, gate: GateCandidateOperator) -> Any:
    from mlforge_airflow.operators.approval import ApproveCandidateOperator

    return ApproveCandidateOperator(task_id="approve", use_case=use_case.name, decision=gate.output).output
