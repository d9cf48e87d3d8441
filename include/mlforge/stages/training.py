"""FeaturePartition → Release in the ledger: the arrows of the training chain, and who asks for it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mlforge.errors import PromotionError

if TYPE_CHECKING:
    from mlforge.refs import Candidate, DriftReport, GateDecision, PlannedSearch, Release, TrainingSet, Tuning
    from mlforge.stages.run import StageRun
    from mlforge.training.requests import Answer


def assemble(run: StageRun) -> TrainingSet:
    """Assemble the training set as of the end of the days."""
    from mlforge.features import assemble_training_set

    return assemble_training_set(run.use_case, run.days, run_id=run.run_id)


def plan_search(run: StageRun, training_set: TrainingSet) -> PlannedSearch:
    """Plan the search for parameters, families and columns, or take an earlier finding."""
    from mlforge.training.search import plan_search as plan

    return plan(run.use_case, training_set)


def run_trials(run: StageRun, planned: PlannedSearch) -> PlannedSearch:
    """Run trials until the search's budget is used up; others may do the same meanwhile."""
    from mlforge.training.search import run_trials as work

    return work(run.use_case, planned)


def choose(run: StageRun, planned: PlannedSearch) -> Tuning:
    """Choose the best trial, and the columns that are worth it."""
    from mlforge.training.search import choose_tuning

    return choose_tuning(run.use_case, planned, run_id=run.run_id)


def train(run: StageRun, given: TrainingSet | Tuning) -> Candidate:
    """Train a candidate, with what a search found where there was one."""
    from mlforge.training import train_candidate

    return train_candidate(run.use_case, given, run_id=run.run_id)


def evaluate(run: StageRun, candidate: Candidate) -> Candidate:
    """Score the candidate and its baselines on the test days."""
    from mlforge.training import evaluate_candidate

    return evaluate_candidate(run.use_case, candidate)


def gate(run: StageRun, candidate: Candidate) -> GateDecision:
    """Decide whether the candidate may become champion."""
    from mlforge.registry import gate_candidate

    return gate_candidate(run.use_case, candidate, run_id=run.run_id)


def promote(run: StageRun, decision: GateDecision) -> Release:
    """Make the candidate champion.

    Raises:
        PromotionError: The gate refused it.
    """
    from mlforge.registry import promote_candidate

    if not decision.passed:
        raise PromotionError(
            "the gate refused the candidate", where=f"{run.use_case.name} promote", evidence=decision.reasons
        )
    return promote_candidate(run.use_case, decision, who=run.who, why=run.why, run_id=run.run_id)


def request_training(
    run: StageRun,
    *,
    report: DriftReport | None = None,
    obstacle: str = "",
    insists: bool = False,
    by_hand: bool = False,
) -> Answer:
    """Ask for a training as of the newest day of the run, if there is cause for one, and write down why or why not.

    Args:
        run: Who asks.
        report: What monitoring found; without it, that the partition is new is the cause.
        obstacle: Why the run must not touch what is live; empty when it may.
        insists: Whether a person said that it shall be asked for even when nothing has changed.
        by_hand: Whether a person started the run.
    """
    from mlforge.training.requests import Wish, request_training

    wish = Wish("partition", obstacle=obstacle, insists=insists, by_hand=by_hand, who=run.who, run_id=run.run_id)
    if report is not None:
        from mlforge.monitoring import retraining_cause

        found = retraining_cause(run.use_case, report)
        wish = replace(wish, cause="drift", helps=found.helps, why=found.why)
    return request_training(run.use_case, run.days, wish)


def note_training(run: StageRun) -> None:
    """Write down that a person started the training that the run is."""
    from mlforge.training.requests import note_training

    note_training(run.use_case, run.days, who=run.who, run_id=run.run_id)
