"""Who runs the next trial: one worker at a time asks, so that all together keep to the budget."""

from __future__ import annotations

import copy
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

from mlforge.db.locks import lock_partition
from mlforge.refs import PlannedSearch
from mlforge.training.search.planning import STARTED
from mlforge.training.search.summaries import CLAIMED, DEFAULT, REASON, repeated

if TYPE_CHECKING:
    import psycopg
    from optuna.samplers import BaseSampler
    from optuna.storages import RDBStorage
    from optuna.study import Study
    from optuna.trial import FrozenTrial, Trial

# A trial that has killed its workers so often is not tried again: perhaps it takes too much memory.
MAX_REPEATS = 2


@dataclass(frozen=True)
class Claim:
    """A trial that this worker runs.

    Attributes:
        trial: The trial.
        trial_id: By which the storage knows it.
        seconds_left: Until the study's time is up, none without a limit.
    """

    trial: Trial
    trial_id: int
    seconds_left: float | None


class Desk:
    """Where a worker asks for its next trial.

    Args:
        study: The study that it shares.
        storage: Optuna's storage of the study, with heartbeats.
        connection: In autocommit mode; holds the lock while it asks.
        planned: Says the budget.
        seed: Of the sampler.
    """

    def __init__(
        self,
        study: Study,
        storage: RDBStorage,
        connection: psycopg.Connection[Any],
        planned: PlannedSearch,
        *,
        seed: int,
    ) -> None:
        self._study = study
        self._storage = storage
        self._connection = connection
        self._planned = planned
        self._seed = seed
        self._study_id = storage.get_study_id_from_name(planned.study)

    def claim(self) -> Claim | Literal["wait", "done"]:
        """Return the next trial; `wait` while others still run theirs, `done` when the search is finished.

        A worker waits for the others because a trial whose worker was killed is repeated, by whoever is there.
        """
        with self._connection.transaction():
            lock_partition(self._connection, "study", self._planned.study)
            trials = self._repeat_killed()
            left = self._seconds_left()
            if self._allowed(trials, left):
                return self._ask(trials, left)
        return "wait" if any(trial.state.name == "RUNNING" for trial in trials) else "done"

    def _allowed(self, trials: list[FrozenTrial], left: float | None) -> bool:
        if left is not None and left <= 0:
            # Whatever the time: the values of use_case.yaml are tried, so that there is something to train with.
            return _only_defaults_wait(trials)
        if self._planned.trials is None:
            return True
        again = repeated(trials)
        spent: int = sum(trial.state.name != "WAITING" and trial.number not in again for trial in trials)
        return spent < self._planned.trials

    def _ask(self, trials: list[FrozenTrial], left: float | None) -> Claim:
        # A seed of its own for each trial: a worker that starts anew must not draw the same values again.
        begun = sum(trial.state.name != "WAITING" for trial in trials)
        self._study.sampler = make_sampler(self._seed + begun)
        trial = self._study.ask()
        trial_id = int(self._storage.get_trial_id_from_study_id_trial_number(self._study_id, trial.number))
        self._storage.record_heartbeat(trial_id)
        trial.set_user_attr(CLAIMED, trial.number)
        return Claim(trial, trial_id, left)

    def _repeat_killed(self) -> list[FrozenTrial]:
        """Mark as failed the trials whose workers are silent, put them at the head of the queue, and return all."""
        import optuna
        from optuna.storages import RetryHeartbeatStaleTrialCallback
        from optuna.trial import TrialState

        optuna.storages.fail_stale_trials(self._study)
        trials: list[FrozenTrial] = self._study.get_trials(deepcopy=False)
        # Killed between its claim and its first heartbeat: nobody is about to give it one, for the lock is ours.
        silent = [
            trial
            for trial in trials
            if trial.state is TrialState.RUNNING and trial.user_attrs.get(CLAIMED) != trial.number
        ]
        for trial in silent:
            self._study.tell(trial.number, state=TrialState.FAIL)
        trials = self._study.get_trials(deepcopy=False) if silent else trials
        killed = _killed(trials)
        for trial in killed:
            RetryHeartbeatStaleTrialCallback()(self._study, copy.deepcopy(trial))
        return self._study.get_trials(deepcopy=False) if killed else trials

    def _seconds_left(self) -> float | None:
        if self._planned.minutes is None:
            return None
        row = self._connection.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchone()
        now = row[0] if row else 0.0
        return float(self._study.user_attrs[STARTED]) + self._planned.minutes * 60 - float(now)


class Heartbeat:
    """Says every few seconds that a trial's worker is alive."""

    def __init__(self, storage: RDBStorage, trial_id: int) -> None:
        self._storage = storage
        self._trial_id = trial_id
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _beat(self) -> None:
        from optuna.exceptions import StorageInternalError
        from sqlalchemy.exc import DBAPIError

        while not self._stop.wait(self._storage.get_heartbeat_interval()):
            try:
                self._storage.record_heartbeat(self._trial_id)
            except (StorageInternalError, DBAPIError):
                continue  # the trial itself notices a database that is gone for good
            finally:
                self._storage.remove_session()


def make_sampler(seed: int) -> BaseSampler:
    """Return the sampler: the tree-structured Parzen estimator, over the parameters of a family together.

    What other workers are trying counts as tried badly, so that they do not all try the same.
    """
    import optuna

    return optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True, constant_liar=True)


def _killed(trials: list[FrozenTrial]) -> list[FrozenTrial]:
    """Return the trials whose workers were killed and that are not repeated yet, though they may be."""
    again = repeated(trials)
    return [
        trial
        for trial in trials
        if trial.state.name == "FAIL"
        and REASON not in trial.user_attrs
        and trial.number not in again
        and len(trial.system_attrs.get("retry_history", [])) < MAX_REPEATS
    ]


def _only_defaults_wait(trials: list[FrozenTrial]) -> bool:
    """Return whether no trial is complete, none runs, and the first one that waits is a default."""
    if any(trial.state.name in ("COMPLETE", "RUNNING") for trial in trials):
        return False
    waiting = [trial for trial in trials if trial.state.name == "WAITING"]
    return bool(waiting) and DEFAULT in waiting[0].user_attrs
