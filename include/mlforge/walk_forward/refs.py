"""What passes between the steps of a week."""

from __future__ import annotations

from pydantic import Field

from mlforge.refs import Ref


class WalkWeek(Ref):
    """Rows of a week, joined with their features; `partition_key` is the week.

    Attributes:
        walk: Name of the walk.
        inputs: Hash of the data that the week's models and scores are made from.
    """

    walk: str
    inputs: str


class PolicyModel(Ref):
    """The model that a policy has for a week; `rows` counts what it was trained on.

    Attributes:
        policy: Which one.
        walk_model_id: Row of `ledger.walk_models`.
        inputs: Hash of the data, and of the model kept from the week before.
        trained: Whether the policy trained for this week.
        reason: Why, or why not.
        drift: Columns compared, those that had drifted, their share; empty where nobody looked.
        assemble_seconds: What the assembling cost, zero where the model was kept.
        train_seconds: What the training cost, likewise.
        check_seconds: What it cost to look for drift.
    """

    policy: str
    walk_model_id: int
    inputs: str
    trained: bool
    reason: str
    drift: dict[str, float | int | list[str]] = Field(default_factory=dict)
    assemble_seconds: float = 0
    train_seconds: float = 0
    check_seconds: float = 0


class WeekModels(Ref):
    """Models of a week, one per policy that has no score yet; `rows` counts them."""

    walk: str
    inputs: str
    models: tuple[PolicyModel, ...]


class WeekScores(Ref):
    """Scores of a week: policy → value of the walk's metric."""

    walk: str
    metric: str
    scores: dict[str, float]


class WalkReport(Ref):
    """The page of a walk; `rows` counts its weeks, `partition_key` names the last one."""

    walk: str
    conclusion: str
