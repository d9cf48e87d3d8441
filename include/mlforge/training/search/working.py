"""One worker of a search: it tries plans on the folds until the study's budget is used up."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import time
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from mlforge import db
from mlforge.errors import MLForgeError, RetryableError
from mlforge.refs import PlannedSearch
from mlforge.spec import UseCase
from mlforge.training.search.claiming import Claim, Desk, Heartbeat
from mlforge.training.search.spaces import suggest_plan
from mlforge.training.search.storage import load_study, open_storage
from mlforge.training.search.summaries import DEFAULT, LOSSES, PLAN, REASON

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import TrialState

    from mlforge.training.cross_validation import Folds

log = logging.getLogger(__name__)

POLL_SECONDS = 0.5
# So many folds are always fitted, and so many trials are always run to their end.
WARM_UP_FOLDS = 2
WARM_UP_TRIALS = 5
_SEED = 20130101


def run_trials(use_case: UseCase, planned: PlannedSearch) -> PlannedSearch:
    """Return the search when it is finished, `rows` counting the trials that this worker has run.

    Any number of workers may run at the same time, be killed, and start again: together they keep to the budget, and
    a trial whose worker was killed is repeated.

    Raises:
        TrainingError: The training set cannot be fitted on at all, or the study does not exist.
        ServiceUnavailableError: PostgreSQL does not answer.
    """
    if planned.finding is not None:
        log.info("%s: %s", use_case.name, planned.note)
        return planned.model_copy(update={"rows": 0})
    # Before XGBoost is imported: threads that wait must not spin, other workers need the cores.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    with open_storage() as storage, db.connect(autocommit=True) as connection:
        study = load_study(storage, planned.study)
        search = use_case.training.search
        desk = Desk(study, storage, connection, planned, seed=search.seed if search is not None else _SEED)
        bench = _Bench(use_case, planned, study)
        done = 0
        while True:
            claimed = desk.claim()
            if isinstance(claimed, Claim):
                with Heartbeat(storage, claimed.trial_id):
                    bench.run(claimed)
                done += 1
            elif claimed == "wait":
                time.sleep(POLL_SECONDS)
            else:
                break
    log.info("%s: worker %d ran %d trials of study %s", use_case.name, planned.worker, done, planned.study)
    return planned.model_copy(update={"rows": done})


class _Bench:
    """Where a worker runs its trials; rows are read, split and encoded once, at the first trial."""

    def __init__(self, use_case: UseCase, planned: PlannedSearch, study: Study) -> None:
        self._use_case = use_case
        self._planned = planned
        self._study = study

    @cached_property
    def folds(self) -> Folds:
        from mlforge.examples import load_examples
        from mlforge.training.cross_validation import prepare_folds

        return prepare_folds(self._use_case, load_examples(self._use_case, self._planned.training_set))

    def run(self, claim: Claim) -> None:
        """Run a trial and tell the study how it ended; a plan that cannot be fitted is a trial that failed."""
        from optuna.exceptions import OptunaError, UpdateFinishedTrialError
        from optuna.trial import TrialState

        trial = claim.trial
        try:
            value, state = self._outcome(claim)
            self._study.tell(trial, value, state=state)
        except UpdateFinishedTrialError:
            # As on a machine that slept: it was silent for too long, and another worker repeats it.
            log.warning("trial %d did not say in time that it is alive; its result is dropped", trial.number)
        except BaseException:
            # Without a reason, as if the worker were killed: it is repeated, and nobody waits for a silent worker.
            with contextlib.suppress(OptunaError):
                self._study.tell(trial, state=TrialState.FAIL)
            raise

    def _outcome(self, claim: Claim) -> tuple[float | None, TrialState]:
        """Return a trial's value and state."""
        import optuna
        from optuna.trial import TrialState

        from mlforge.training.cross_validation import fold_losses

        trial, folds = claim.trial, self.folds
        losses: list[float] = []
        try:
            plan = suggest_plan(self._use_case, trial)
            trial.set_user_attr(PLAN, {"family": plan.family, "parameters": dict(plan.parameters)})
            fold_losses(self._use_case, folds, plan, on_fold=self._reporter(claim, losses))
            value = float(np.mean(losses))
            if not math.isfinite(value):
                raise ValueError(f"the loss is {value}")
        except optuna.TrialPruned as pruned:
            trial.set_user_attr(LOSSES, losses)
            trial.set_user_attr(REASON, str(pruned))
            return None, TrialState.PRUNED
        except (RetryableError, optuna.exceptions.OptunaError):
            raise
        except Exception as error:
            trial.set_user_attr(REASON, _reason(error))
            return None, TrialState.FAIL
        trial.set_user_attr(LOSSES, losses)
        return value, TrialState.COMPLETE

    def _reporter(self, claim: Claim, losses: list[float]) -> Callable[[int, float], None]:
        """Return what hears of each fold's loss and stops a trial that is not worth the rest."""
        import optuna

        trial, last = claim.trial, len(self.folds.folds) - 1
        default = DEFAULT in trial.user_attrs
        deadline = None if claim.seconds_left is None else time.monotonic() + claim.seconds_left

        def hear(fold: int, loss: float) -> None:
            losses.append(float(loss))
            mean = float(np.mean(losses))
            trial.report(mean, step=fold)
            # What use_case.yaml says is always tried to the end: it is what the others are measured by.
            if default or fold == last:
                return
            if deadline is not None and time.monotonic() > deadline:
                raise optuna.TrialPruned("the search's time is up")
            if fold + 1 >= WARM_UP_FOLDS and worse_than_median(self._study, fold, mean):
                raise optuna.TrialPruned(f"after {fold + 1} folds worse than the median of the others")

        return hear


def worse_than_median(study: Study, fold: int, mean: float) -> bool:
    """Return whether a mean loss up to a fold is worse than the median of the complete trials' up to the same fold.

    Optuna's MedianPruner judges a trial by the best of its reports. Losses of folds differ more between the folds than
    between the trials: by it, each trial would be as good as its easiest fold.
    """
    from optuna.trial import TrialState

    others = [
        trial.intermediate_values[fold]
        for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if fold in trial.intermediate_values
    ]
    return len(others) >= WARM_UP_TRIALS and mean > float(np.median(others))


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())[:500]
    return text if isinstance(error, MLForgeError) else f"{type(error).__name__}: {text}"
