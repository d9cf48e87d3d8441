"""GateDecision → a person's yes or no."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.standard.operators.hitl import ApprovalOperator

from mlforge_airflow.lineage import TellsLineage
from mlforge_airflow.links import model_version_url
from mlforge_airflow.operators.base import Effect, describe, library_errors, require_live
from mlforge_airflow.operators.registry import require_passed
from mlforge_airflow.operators.run import read_facts

if TYPE_CHECKING:
    from airflow.sdk import Context

    from mlforge.refs import GateDecision


class ApproveCandidateOperator(TellsLineage, ApprovalOperator):
    """Asks a person whether the candidate shall become champion, with the promotion card; a no skips the promotion.

    Who answers is named in the release ledger. Nobody is asked when the gate refused the candidate, or when the
    promotion would be skipped anyway.

    Args:
        use_case: Name of the use case.
        decision: Ref of the gate's decision.
    """

    effect: ClassVar[Effect] = "live"
    # It reads what the promotion reads.
    stage, takes = "promote", "decision"
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
            decision = GateDecision.load(self.decision)
            require_passed(decision)
            require_live(read_facts(context, load_use_case(self.use_case)), self.use_case)
            # Not a template any more: what a card quotes is shown as it is.
            self.body = approval_text(decision)
        return super().execute(context)


def approval_text(decision: GateDecision) -> str:
    """Return what the person reads, in Markdown: what either answer does, and the promotion card.

    Raises:
        TerminalError: The card is gone, or is not what was stored.
    """
    from mlforge.storage import read_bytes

    card = read_bytes(decision.uri, content_hash=decision.content_hash).decode()
    candidate = decision.candidate
    stays = "the champion stays" if decision.champion_release else "there is no champion yet, and none comes"
    return (
        f"**Approve** makes version {candidate.model_version} the champion of {decision.use_case}; it is packaged and "
        f"rolled out. **Reject** skips that: {stays}. Your name goes into the release ledger.\n\n"
        f"[This version in MLflow]({model_version_url(decision.dump())}), with the same card as a page.\n\n{card}"
    )
