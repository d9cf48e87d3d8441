"""Release → Deployment: the arrows of the release chain, and MLflow that follows the ledger."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from mlforge.errors import PromotionError

if TYPE_CHECKING:
    from mlforge.refs import Deployment, Release
    from mlforge.stages.run import StageRun


def reconcile(run: StageRun) -> int:
    """Let MLflow show what the release ledger says; returns how many things had to be repaired."""
    from mlforge.registry import reconcile_releases

    return len(reconcile_releases(run.use_case, who=run.who, run_id=run.run_id))


def package(run: StageRun) -> Release:
    """Build the bento of the champion.

    Raises:
        PromotionError: There is no champion.
    """
    from mlforge.db.ledger import champion
    from mlforge.features.plan import write_plan
    from mlforge.serving import package_release

    release = champion(run.use_case.name)
    if release is None:
        raise PromotionError("there is no champion", where=run.use_case.name, hint="train and promote one first")
    # Beside the model lies what is read online for it: the server need not import Feast, which takes seconds.
    add_plan = partial(write_plan, feature_service=release.feature_service, bento=release.bento)
    return package_release(run.use_case, release, run_id=run.run_id, add_files=add_plan)


def verify(run: StageRun, release: Release) -> Release:
    """Start the release's server without traffic and compare its answers with offline scores."""
    from mlforge.serving import verify_release

    return verify_release(run.use_case, release, run_id=run.run_id)


def roll_out(run: StageRun, release: Release) -> Deployment:
    """Move the traffic to the release."""
    from mlforge.serving import roll_out_release

    return roll_out_release(run.use_case, release, run_id=run.run_id)
