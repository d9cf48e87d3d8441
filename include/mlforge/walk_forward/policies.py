"""Which model each policy has for a week: trained now, or kept from the week before."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from mlforge.refs import code_version
from mlforge.spec import UseCase
from mlforge.spec.retraining import Policy
from mlforge.walk_forward import ledger
from mlforge.walk_forward.drift import Shift, measure_shift
from mlforge.walk_forward.ledger import ModelRecord, WeekRecord
from mlforge.walk_forward.models import WalkModels, Window
from mlforge.walk_forward.refs import PolicyModel
from mlforge.walk_forward.rows import WalkRows
from mlforge.walk_forward.weeks import Week

# A policy that keeps its model has to know which one the week before had.
KEEPING: frozenset[Policy] = frozenset({"never", "on_drift"})


@dataclass(frozen=True)
class Choice:
    """What a policy does in a week.

    Attributes:
        model: What it scores with.
        trained: Whether it trained.
        reason: Why, or why not.
        shift: What it saw of drift, if it looked.
        check_seconds: What looking cost.
    """

    model: ModelRecord
    trained: bool
    reason: str
    shift: Shift | None = None
    check_seconds: float = 0.0


def policy_inputs(policy: Policy, inputs: str, before: Mapping[str, WeekRecord]) -> str:
    """Return the hash of what a policy's week is made from: the data, and the model that it may keep."""
    kept = before[policy].model_hash if policy in KEEPING and policy in before else ""
    return hashlib.sha256(json.dumps([inputs, kept]).encode()).hexdigest()[:16]


def windows_of(policies: Collection[Policy], before: Mapping[str, WeekRecord]) -> set[Window]:
    """Return the windows on which policies train in a week, whatever they see of drift."""
    windows: set[Window] = {"expanding"} if "expanding" in policies else set()
    if "sliding" in policies or any(policy in KEEPING and policy not in before for policy in policies):
        windows.add("sliding")
    return windows


def choose_model(
    use_case: UseCase, policy: Policy, week: Week, before: WeekRecord | None, models: WalkModels, rows: WalkRows
) -> Choice:
    """Return what a policy does in a week.

    Args:
        use_case: Whose walk.
        policy: Which policy.
        week: Which week.
        before: The policy's week before; none in the walk's first week.
        models: Trains.
        rows: Gives the rows of the week before.

    Raises:
        TrainingError: The rows cannot give a model.
    """
    if policy in ("expanding", "sliding"):
        window: Window = "expanding" if policy == "expanding" else "sliding"
        return Choice(models.train(window, week), True, "each week")
    if before is None:
        return Choice(models.train("sliding", week), True, "the walk's first week")
    kept = ledger.find_model(before.walk_model_id)
    if policy == "never":
        return Choice(kept, False, f"keeps the model as of {kept.as_of:%Y-%m-%d}")
    return _retrain_on_drift(use_case, week, kept, models, rows)


def _retrain_on_drift(use_case: UseCase, week: Week, kept: ModelRecord, models: WalkModels, rows: WalkRows) -> Choice:
    begun = time.perf_counter()
    current = rows.assemble(week.before.as_of, week.as_of, week.as_of)
    shift = measure_shift(use_case, models.training_rows(kept), current)
    seconds = time.perf_counter() - begun
    if shift.problem:
        return Choice(kept, False, f"keeps its model, nothing can be compared: {shift.problem}", shift, seconds)
    found = f"{len(shift.drifted)} of {shift.columns} columns had drifted"
    if shift.share >= use_case.walk_forward.drift_share:
        return Choice(models.train("sliding", week), True, found, shift, seconds)
    return Choice(kept, False, f"keeps the model as of {kept.as_of:%Y-%m-%d}: {found}", shift, seconds)


def as_ref(use_case: UseCase, policy: Policy, week: Week, inputs: str, choice: Choice) -> PolicyModel:
    """Return a choice as the next step reads it."""
    model, shift = choice.model, choice.shift
    looked = {"columns": shift.columns, "drifted": list(shift.drifted), "share": shift.share} if shift else {}
    return PolicyModel(
        use_case=use_case.name,
        partition_key=week.key,
        uri=model.uri,
        rows=model.training_rows,
        content_hash=model.model_hash,
        code_version=code_version(use_case.folder),
        policy=policy,
        walk_model_id=model.walk_model_id,
        inputs=inputs,
        trained=choice.trained,
        reason=choice.reason,
        drift=looked,
        assemble_seconds=model.assemble_seconds if choice.trained else 0.0,
        train_seconds=model.train_seconds if choice.trained else 0.0,
        check_seconds=choice.check_seconds,
    )
