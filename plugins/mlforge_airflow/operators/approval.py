"""GateDecision → a person's yes or no."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.standard.operators.hitl import ApprovalOperator

from mlforge_airflow.operators.base import Effect, describe, library_errors, require_live
from mlforge_airflow.operators.registry import require_passed
from mlforge_airflow.operators.run import read_facts

if TYPE_CHECKING:
    from airflow.sdk import Context


class ApproveCandidateOperator(ApprovalOperator):
    """Asks a person whether the candidate shall become champion; a no skips the promotion.

    Nobody is asked when the gate refused the candidate, or when the promotion would be skipped anyway.

    Args:
        use_case: Name of the use case.
        decision: Ref of the gate's decision.
    """

    effect: ClassVar[Effect] = "live"
    template_fields = ("subject", "body", "decision")

    def __init__(self, *, use_case: str, decision: Any, **kwargs: Any) -> None:
        super().__init__(
            subject=f"Promote the candidate of {use_case} for {{{{ partition_key }}}}?",
            doc_md=describe(type(self), self.effect),
            **kwargs,
        )
        self.use_case = use_case
        self.decision = decision

    def execute(self, context: Context) -> Any:
        """Ask, and wait without a worker."""
        from mlforge.refs import GateDecision
        from mlforge.spec import load_use_case

        with library_errors():
            require_passed(GateDecision.load(self.decision))
            require_live(read_facts(context, load_use_case(self.use_case)), self.use_case)
        return super().execute(context)
