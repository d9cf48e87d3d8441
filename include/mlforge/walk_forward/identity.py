"""What makes a walk this walk: its settings, by which two walks can be compared."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from mlforge.errors import WalkForwardError
from mlforge.fingerprints import fingerprints
from mlforge.spec import UseCase
from mlforge.walk_forward import ledger
from mlforge.walk_forward.ledger import WalkRecord
from mlforge.walk_forward.weeks import Week


def settings_of(use_case: UseCase) -> dict[str, Any]:
    """Return all that makes a walk: how a model is trained and scored, and when anew."""
    made, walk = fingerprints(use_case), use_case.walk_forward
    return {
        **{kind: made[kind] for kind in ("features", "model", "settings")},
        "metric": use_case.gates.metric,
        "policies": list(walk.policies),
        "window_days": use_case.training.window_days,
        "drift_share": walk.drift_share,
        "psi_threshold": use_case.monitors.psi_threshold,
        "drift_columns": list(use_case.monitors.drift_columns),
    }


def settings_hash(use_case: UseCase) -> str:
    """Return the hash of a walk's settings; its first digits are the walk's name unless a person gives one."""
    return hashlib.sha256(json.dumps(settings_of(use_case), sort_keys=True).encode()).hexdigest()[:12]


def walk_name(use_case: UseCase, name: str | None = None) -> str:
    """Return the name that is given, or that of the present settings."""
    return name or settings_hash(use_case)[:8]


def open_walk(use_case: UseCase, name: str | None = None) -> WalkRecord | None:
    """Return the walk of a name, none if it has not begun.

    Raises:
        WalkForwardError: It has begun with other settings.
    """
    chosen = walk_name(use_case, name)
    walk = ledger.find_walk(use_case.name, chosen)
    if walk is not None and walk.settings != settings_hash(use_case):
        now = settings_of(use_case)
        differ = [
            f"{key}: {walk.details.get(key)} then, {now[key]} now" for key in now if walk.details.get(key) != now[key]
        ]
        raise WalkForwardError(
            f"the walk {chosen!r} has begun with other settings",
            where=use_case.name,
            evidence=differ,
            hint="give the walk with the new settings another name, or none",
        )
    return walk


def begin_walk(use_case: UseCase, name: str, first: Week, *, run_id: str | None = None) -> WalkRecord:
    """Return the walk of a name; it begins with a week unless it has begun already."""
    details = settings_of(use_case)
    return ledger.begin_walk(
        {
            "use_case": use_case.name,
            "name": name,
            "settings": settings_hash(use_case),
            "metric": details["metric"],
            "policies": details["policies"],
            "details": details,
            "first_week": first.first,
            "run_id": run_id,
        }
    )
