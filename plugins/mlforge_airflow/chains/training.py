"""assemble_training_set → train → evaluate → gate → (approve) → promote."""

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
        train = TrainCandidateOperator(task_id="train", use_case=name, training_set=assemble.output)
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


def _ask(use_case: UseCase, gate: GateCandidateOperator) -> Any:
    from mlforge_airflow.operators.approval import ApproveCandidateOperator

    return ApproveCandidateOperator(task_id="approve", use_case=use_case.name, decision=gate.output).output
