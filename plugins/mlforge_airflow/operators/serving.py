"""Release → Deployment."""

from __future__ import annotations

from typing import Any

from mlforge_airflow.operators.base import StageOperator


class PackageReleaseOperator(StageOperator):
    """Builds the bento of the champion, with its model and the names of its features."""

    effect = "partition"
    stage = "package"


class VerifyReleaseOperator(StageOperator):
    """Starts the release's server without traffic and compares its answers to real requests with offline scores.

    Args:
        release: Ref of the packaged release.
    """

    effect = "partition"
    stage, takes = "verify", "release"
    template_fields = ("use_case", "release")

    def __init__(self, *, release: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.release = release


class RollOutReleaseOperator(StageOperator):
    """Moves the gateway's traffic to the release; the old server finishes what it has begun and is removed.

    Args:
        release: Ref of the verified release.
    """

    effect = "live"
    stage, takes = "roll-out", "release"
    template_fields = ("use_case", "release")

    def __init__(self, *, release: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.release = release
