"""Candidate → GateDecision → Release."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mlforge_airflow.links import ModelVersionLink
from mlforge_airflow.operators.base import StageOperator, skipped

if TYPE_CHECKING:
    from mlforge.refs import GateDecision, Ref
    from mlforge.stages import StageRun
    from mlforge_airflow.operators.run import RunFacts


class GateCandidateOperator(StageOperator):
    """Compares the candidate with the champion on the same rows and writes down the evidence.

    A refusal does not fail the task: promotion is skipped, and the log names the reasons.

    Args:
        candidate: Ref of the evaluated candidate.
    """

    effect = "partition"
    stage, takes = "gate", "candidate"
    template_fields = ("use_case", "candidate")
    operator_extra_links = (ModelVersionLink(),)

    def __init__(self, *, candidate: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.candidate = candidate

    def run_stage(self, run: StageRun) -> Ref:
        """Gate."""
        from mlforge import stages
        from mlforge.refs import Candidate

        decision = stages.gate(run, Candidate.load(self.candidate))
        verdict = "passed" if decision.passed else "refused"
        self.log.info("the gate %s version %d: %s", verdict, decision.candidate.model_version, in_words(decision))
        return decision


class PromoteCandidateOperator(StageOperator):
    """Makes the candidate the champion: one row of the release ledger, refused when another came first.

    Args:
        decision: Ref of the gate's decision.
        approval: What the approving person answered, when one is asked.
    """

    effect = "live"
    stage, takes = "promote", "decision"
    template_fields = ("use_case", "decision", "approval")
    operator_extra_links = (ModelVersionLink(),)

    def __init__(self, *, decision: Any, approval: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.decision = decision
        self.approval = approval

    def run_stage(self, run: StageRun) -> Ref:
        """Promote."""
        from mlforge import stages
        from mlforge.refs import GateDecision

        decision = GateDecision.load(self.decision)
        require_passed(decision)
        return stages.promote(replace(run, who=approver(self.approval) or run.who), decision)

    def event_extra(self, facts: RunFacts) -> dict[str, Any]:
        """Return what the champion's event carries: what is promoted is rolled out, whatever comes in meanwhile."""
        return {**super().event_extra(facts), "act_live": True}


class ReconcileReleasesOperator(StageOperator):
    """Lets MLflow show what the release ledger says: alias, tags, and the files of the champion.

    What somebody had changed there is put right, and the log and `ledger.repairs` say what it was.
    """

    effect = "live"
    stage = "reconcile"

    def run_stage(self, run: StageRun) -> None:
        """Reconcile."""
        from mlforge import stages

        self.log.info("%d repairs in MLflow", stages.reconcile(run))


def in_words(decision: GateDecision) -> str:
    """Return the reasons of a decision as one line."""
    return "; ".join(decision.reasons) or "no reason given"


def require_passed(decision: GateDecision) -> None:
    """Skip the task when the gate refused the candidate.

    Raises:
        AirflowSkipException: It did; the message names the reasons.
    """
    if not decision.passed:
        raise skipped(f"the gate refused the candidate: {in_words(decision)}")


def approver(approval: Any) -> str | None:
    """Return the name of the person who answered an approval."""
    user = (approval or {}).get("responded_by_user") or {}
    name: str | None = user.get("name") or user.get("id")
    return name
