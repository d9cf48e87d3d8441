"""The registry: which candidate may become champion, who is champion, and the way back.

The release ledger in PostgreSQL decides; MLflow's alias `champion`, its tags and the champion's files follow it, and
are repaired when they differ.
"""

from mlforge.registry.gate import find_decision, gate_candidate
from mlforge.registry.promote import promote_candidate
from mlforge.registry.reconcile import reconcile_releases
from mlforge.registry.rollback import rollback_release

__all__ = ["find_decision", "gate_candidate", "promote_candidate", "reconcile_releases", "rollback_release"]
