"""What a finished search chose: the best plan, and the columns that are worth it."""

from __future__ import annotations

import logging

from mlforge.errors import TrainingError
from mlforge.refs import PlannedSearch, Tuning
from mlforge.spec import UseCase
from mlforge.training.plan import FitPlan
from mlforge.training.search.findings import Finding, find_finding, read_finding, record_finding
from mlforge.training.search.summaries import TrialSummary, count_states, read_trials

log = logging.getLogger(__name__)


def choose_tuning(use_case: UseCase, planned: PlannedSearch, *, run_id: str | None = None) -> Tuning:
    """Return what a training set is trained with: the plan with the smallest mean loss over the folds.

    It is written to the ledger once; the same search gives the same answer again.

    Raises:
        TrainingError: No trial came to its end; the message has the reasons.
        ServiceUnavailableError: PostgreSQL does not answer.
    """
    finding = read_finding(planned.finding) if planned.finding is not None else find_finding(planned.study)
    if finding is None:
        finding = _choose(use_case, planned, run_id)
    for note in finding.notes:
        log.info("%s: %s", use_case.name, note)
    return finding.tuning(use_case, planned.training_set)


def _choose(use_case: UseCase, planned: PlannedSearch, run_id: str | None) -> Finding:
    trials = read_trials(planned.study)
    best = best_trial(use_case, trials)
    plan, value = best.plan, best.value
    notes: tuple[str, ...] = (_compared(best, trials),)
    if use_case.training.select_features is not None:
        from mlforge.training.selection import select_features

        selection = select_features(use_case, planned.training_set, plan)
        plan = FitPlan(plan.family, plan.parameters, selection.features)
        value, notes = selection.value, (*notes, *selection.notes)
    return record_finding(planned, plan, value=value, trials=count_states(trials), notes=notes, run_id=run_id)


def best_trial(use_case: UseCase, trials: list[TrialSummary]) -> TrialSummary:
    """Return the trial with the smallest mean loss; of equals, the first.

    Raises:
        TrainingError: None is complete, or some still run.
    """
    open_ones = [trial for trial in trials if trial.state == "running"]
    if open_ones:
        raise TrainingError(
            f"{len(open_ones)} trials still run",
            where=use_case.name,
            hint="run the trials to their end first: mlforge stage run-trials",
        )
    complete = [trial for trial in trials if trial.state == "complete" and trial.value is not None]
    if not complete:
        raise TrainingError(
            f"none of {len(trials)} trials gave a model",
            where=f"{use_case.name}, training.search",
            evidence=dict.fromkeys(trial.reason or trial.state for trial in trials),
            hint="correct training.parameters, model.build_model or model.search_space",
        )
    return min(complete, key=lambda trial: (trial.value, trial.number))


def _compared(best: TrialSummary, trials: list[TrialSummary]) -> str:
    defaults = [trial for trial in trials if trial.default and trial.value is not None and trial.state == "complete"]
    text = f"best of {len(trials)} trials: number {best.number}, {best.family}, mean loss {best.value:.6f}"
    return ", ".join([text, *(f"{each.family} as it was {each.value:.6f}" for each in defaults)])
