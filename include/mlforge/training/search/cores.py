"""How many cores this process may use."""

from __future__ import annotations

import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def cores_found(cgroup: Path = _CGROUP) -> int:
    """Return how many cores this process may use, at least one.

    Those that it is bound to, and no more than its container's limit.

    Args:
        cgroup: Where the kernel shows the limits, of version 2 or 1.
    """
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = _limit(cgroup)
    return max(1, bound if limit is None else min(bound, int(limit)))


def _limit(cgroup: Path) -> float | None:
    """Return how many cores' time the container is given, none without a limit."""
    try:
        quota, period = (cgroup / "cpu.max").read_text(encoding="ascii").split()
    except (OSError, ValueError):
        try:
            quota = (cgroup / "cpu" / "cpu.cfs_quota_us").read_text(encoding="ascii").strip()
            period = (cgroup / "cpu" / "cpu.cfs_period_us").read_text(encoding="ascii").strip()
        except OSError:
            return None
    if not quota.isdigit() or not period.isdigit() or period == "0":
        return None
    return int(quota) / int(period)
