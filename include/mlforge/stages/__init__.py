"""Each arrow between stages, once: what an operator runs and what `mlforge stage` runs.

A stage is a function of a `StageRun` and, mostly, the ref that the stage before it returned. The rooms are imported
inside, so that naming a stage costs nothing, not even pydantic.
"""

from __future__ import annotations

from mlforge.stages.data import build_features, check, extract, materialize, publish, release_quarantined, stale_keys
from mlforge.stages.monitoring import alert, assemble_partition, drift, join_outcomes, monitored_days
from mlforge.stages.release import package, reconcile, roll_out, verify
from mlforge.stages.run import StageRun
from mlforge.stages.stage import Stage
from mlforge.stages.training import (
    assemble,
    choose,
    evaluate,
    gate,
    note_training,
    plan_search,
    promote,
    request_training,
    run_trials,
    train,
)

__all__ = [
    "STAGES",
    "Stage",
    "StageRun",
    "alert",
    "assemble",
    "assemble_partition",
    "build_features",
    "check",
    "choose",
    "drift",
    "evaluate",
    "extract",
    "gate",
    "join_outcomes",
    "materialize",
    "monitored_days",
    "note_training",
    "package",
    "plan_search",
    "promote",
    "publish",
    "reconcile",
    "release_quarantined",
    "request_training",
    "roll_out",
    "run_trials",
    "stale_keys",
    "train",
    "verify",
]

STAGES: dict[str, Stage] = {
    "extract": Stage(extract, per_dataset=True),
    "check": Stage(check, "extract", "RawPartition", per_dataset=True),
    "publish": Stage(publish, "check", "CheckedPartition", per_dataset=True),
    "build-features": Stage(build_features),
    "materialize": Stage(materialize, "build-features", "FeaturePartition"),
    "assemble": Stage(assemble),
    "plan-search": Stage(plan_search, "assemble", "TrainingSet"),
    "run-trials": Stage(run_trials, "plan-search", "PlannedSearch"),
    "choose": Stage(choose, "run-trials", "PlannedSearch"),
    "train": Stage(train, "assemble", "TrainingSet", searched=("choose", "Tuning")),
    "evaluate": Stage(evaluate, "train", "Candidate"),
    "gate": Stage(gate, "evaluate", "Candidate"),
    "promote": Stage(promote, "gate", "GateDecision"),
    "reconcile": Stage(reconcile),
    "package": Stage(package),
    "verify": Stage(verify, "package", "Release"),
    "roll-out": Stage(roll_out, "verify", "Release"),
    "join-outcomes": Stage(join_outcomes),
    "assemble-partition": Stage(assemble_partition),
    "drift": Stage(drift, "assemble-partition", "TrainingSet"),
    "alert": Stage(alert, "drift", "DriftReport"),
}
