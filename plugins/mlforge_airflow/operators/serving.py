"""Release → Deployment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlforge_airflow.operators.base import StageOperator

if TYPE_CHECKING:
    from mlforge.refs import Ref
    from mlforge.stages import StageRun


class PackageReleaseOperator(StageOperator):
    """Builds the bento of the champion, with its model and the names of its features."""

    effect = "partition"

    def run_stage(self, run: StageRun) -> Ref:
        """Package."""
        from mlforge import stages

        return stages.package(run)


class VerifyReleaseOperator(StageOperator):
    """Starts the release's server without traffic and compares its answers to real requests with offline scores.

    Args:
        release: Ref of the packaged release.
    """

    effect = "partition"
    template_fields = ("use_case", "release")

    def __init__(self, *, release: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.release = release

    def run_stage(self, run: StageRun) -> Ref:
        """Verify."""
        from mlforge import stages
        from mlforge.refs import Release

        return stages.verify(run, Release.load(self.release))


class RollOutReleaseOperator(StageOperator):
    """Moves the gateway's traffic to the release; the old server finishes what it has begun and is removed.

    Args:
        release: Ref of the verified release.
    """

    effect = "live"
    template_fields = ("use_case", "release")

    def __init__(self, *, release: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.release = release

    def run_stage(self, run: StageRun) -> Ref:
        """Roll out."""
        from mlforge import stages
        from mlforge.refs import Release

        return stages.roll_out(run, Release.load(self.release))
