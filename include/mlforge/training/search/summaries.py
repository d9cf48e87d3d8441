"""What a study's trials were: for MLflow's nested runs, for the command, and for messages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from mlforge.refs import Tuning
from mlforge.training.plan import FitPlan
from mlforge.training.search.storage import load_study, open_storage

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

State = Literal["complete", "pruned", "failed", "repeated", "running", "waiting"]

# Notes on a trial, kept with it.
PLAN, DEFAULT, REASON, LOSSES, CLAIMED = "plan", "default", "reason", "losses", "claimed"
FINISHED: tuple[State, ...] = ("complete", "pruned", "failed")
_URI = "study:"
_KILLED = "its worker was killed"


@dataclass(frozen=True)
class TrialSummary:
    """A trial.

    Attributes:
        number: Its place in the study, from 0.
        state: `complete`; `pruned`, stopped after some folds; `failed`; `repeated` as another trial because its worker
            was killed; `running`; `waiting`.
        family: Model family; empty as long as nothing is chosen.
        parameters: What the model is built with.
        value: Mean loss over the folds, of a pruned trial over those that it came to; none without any.
        losses: Loss of each fold that was fitted, in the order of time.
        seconds: How long it took; none while it is not finished.
        reason: Why it failed or was pruned; empty otherwise.
        default: Whether its parameters are those of use_case.yaml, or the family's own.
    """

    number: int
    state: State
    family: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    value: float | None = None
    losses: tuple[float, ...] = ()
    seconds: float | None = None
    reason: str = ""
    default: bool = False

    @property
    def plan(self) -> FitPlan:
        """What it fitted, with all columns."""
        return FitPlan(self.family, self.parameters)


def study_trials(tuning: Tuning) -> list[TrialSummary]:
    """Return the trials behind what a search found, in the order of their numbers.

    Raises:
        ServiceUnavailableError: PostgreSQL does not answer.
        TrainingError: The study does not exist any more.
    """
    return read_trials(study_name(tuning.uri))


def read_trials(study: str) -> list[TrialSummary]:
    """Return the trials of a study, in the order of their numbers.

    Raises:
        ServiceUnavailableError: PostgreSQL does not answer.
        TrainingError: There is no such study.
    """
    with open_storage() as storage:
        return summarise(load_study(storage, study).get_trials(deepcopy=False))


def summarise(trials: Sequence[FrozenTrial]) -> list[TrialSummary]:
    """Return what trials were."""
    again = repeated(trials)
    return [_summary(trial, again=trial.number in again) for trial in sorted(trials, key=lambda each: each.number)]


def repeated(trials: Sequence[FrozenTrial]) -> set[int]:
    """Return the numbers of the trials that were killed and are repeated as other ones."""
    return {number for trial in trials for number in trial.system_attrs.get("retry_history", [])}


def count_states(trials: Sequence[TrialSummary]) -> dict[str, int]:
    """Return state → how many trials are in it."""
    return dict(sorted(Counter(trial.state for trial in trials).items()))


def study_uri(study: str) -> str:
    """Return the address by which refs name a study."""
    return _URI + study


def study_name(uri: str) -> str:
    """Return the name of the study at an address."""
    return uri.removeprefix(_URI)


def _summary(trial: FrozenTrial, *, again: bool) -> TrialSummary:
    notes = trial.user_attrs
    plan = notes.get(PLAN, {})
    state: State = "repeated" if again else _STATES[trial.state.name]
    span = trial.duration
    return TrialSummary(
        number=trial.number,
        state=state,
        family=plan.get("family", notes.get(DEFAULT, "")),
        parameters=dict(plan.get("parameters", {})),
        value=trial.value if trial.state.is_finished() else None,
        losses=tuple(notes.get(LOSSES, ())),
        seconds=None if span is None else span.total_seconds(),
        reason=notes.get(REASON, _KILLED if state in ("failed", "repeated") else ""),
        default=DEFAULT in notes,
    )


_STATES: dict[str, State] = {
    "COMPLETE": "complete",
    "PRUNED": "pruned",
    "FAIL": "failed",
    "RUNNING": "running",
    "WAITING": "waiting",
}
