"""A week of a walk: assembled, trained, scored, recorded. Nothing of it is live, and nothing live is touched."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from mlforge.errors import FeatureError, WalkForwardError
from mlforge.examples import Examples, label_examples
from mlforge.features import steps
from mlforge.metrics import from_mean, measure_use_case, use_case_losses
from mlforge.refs import code_version
from mlforge.spec import UseCase
from mlforge.walk_forward import ledger
from mlforge.walk_forward.identity import begin_walk, open_walk, walk_name
from mlforge.walk_forward.ledger import WalkRecord, WeekRecord
from mlforge.walk_forward.models import WalkModels, Window, read_model, window_start
from mlforge.walk_forward.policies import as_ref, choose_model, policy_inputs, windows_of
from mlforge.walk_forward.refs import PolicyModel, WalkWeek, WeekModels, WeekScores
from mlforge.walk_forward.rows import WalkRows
from mlforge.walk_forward.tracking import log_weeks
from mlforge.walk_forward.weeks import DAYS, Week, parse_weeks, schedule_start, weeks_between

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)


class TooEarlyError(WalkForwardError):
    """A walk cannot begin yet: so little is known as of the week that no model can be trained."""


def prepare_week(use_case: UseCase, key: str, *, walk: str | None = None) -> WalkWeek:
    """Join the rows of a week and of those before it with their features, as far as that is not done.

    Args:
        use_case: Whose walk.
        key: First day of the week.
        walk: Name of the walk; none for that of the present settings.

    Raises:
        PartitionKeyError: The key is no week of the schedule.
        TooEarlyError: The walk has not begun, and too little is known as of the week to train.
        WalkForwardError: The walk has begun with other settings or later, or a week before is missing.
        FeatureError: The week has no rows.
    """
    week, name = _one_week(use_case, key), walk_name(use_case, walk)
    begun = open_walk(use_case, walk)
    rows = WalkRows(use_case, week)
    if begun is None:
        _require_enough(use_case, week)
    else:
        _require_weeks_before(use_case, begun, week)
    kept = rows.keep(list(weeks_between(_first_instant(use_case, week), week.end, week)))[-1]
    if kept.rows == 0:
        raise FeatureError(
            "the week has no examples",
            where=f"{use_case.name}, week {week.key}",
            hint="publish its partitions first, by the data chain",
        )
    return WalkWeek(
        use_case=use_case.name,
        partition_key=week.key,
        uri=kept.uri,
        rows=kept.rows,
        content_hash=kept.content_hash,
        code_version=code_version(use_case.folder),
        walk=name,
        inputs=_hash(ledger.data_state(use_case.name, week)),
    )


def train_week(use_case: UseCase, prepared: WalkWeek, *, run_id: str | None = None) -> WeekModels:
    """Train what the policies train as of the week's first instant; others keep their model.

    A policy whose week stands, made from the same input, is left out.

    Raises:
        TrainingError: The rows cannot give a model.
        WalkForwardError: A week before is missing.
    """
    week = _one_week(use_case, prepared.partition_key)
    before, standing = _records(use_case, prepared.walk, week)
    rows = WalkRows(use_case, week)
    models = WalkModels(use_case, rows, run_id=run_id)
    waiting = {}
    for policy in use_case.walk_forward.policies:
        inputs = policy_inputs(policy, prepared.inputs, before)
        if policy not in standing or standing[policy].inputs != inputs:
            waiting[policy] = inputs
    models.train_all(windows_of(waiting, before), week)
    chosen = []
    for policy, inputs in waiting.items():
        choice = choose_model(use_case, policy, week, before.get(policy), models, rows)
        log.info("%s: %s, %s", policy, "trained" if choice.trained else "kept", choice.reason)
        chosen.append(as_ref(use_case, policy, week, inputs, choice))
    return WeekModels(
        use_case=use_case.name,
        partition_key=week.key,
        uri=prepared.uri,
        rows=len(chosen),
        content_hash=_hash([each.content_hash for each in chosen]),
        code_version=prepared.code_version,
        walk=prepared.walk,
        inputs=prepared.inputs,
        models=tuple(chosen),
    )


def score_week(use_case: UseCase, trained: WeekModels, *, run_id: str | None = None) -> WeekScores:
    """Score the policies' models on the week's rows, write a ledger row for each, and tell MLflow if it answers.

    Raises:
        TerminalError: A model's file is gone, or the week's rows are.
    """
    week = _one_week(use_case, trained.partition_key)
    walk = begin_walk(use_case, trained.walk, week, run_id=run_id)
    if trained.models:
        table = WalkRows(use_case, week).assemble(week.as_of, week.end, datetime.now(UTC))
        examples = label_examples(use_case, table, f"{use_case.name}, week {week.key}")
        rows_hash = hashlib.sha256(steps.training_set_bytes(table)).hexdigest()
        scores = {
            number: _score(use_case, number, examples) for number in {each.walk_model_id for each in trained.models}
        }
        shared = {"rows_hash": rows_hash, "run_id": run_id}
        rows = [{**_told(each), **scores[each.walk_model_id], **shared} for each in trained.models]
        ledger.record_weeks(walk, week, rows)
    weeks = ledger.weeks_of(walk)
    log_weeks(use_case, walk, weeks)
    values = {each.policy: each.value for each in weeks if each.week == week.first}
    return WeekScores(
        use_case=use_case.name,
        partition_key=week.key,
        uri=trained.uri,
        rows=next((each.rows for each in weeks if each.week == week.first), 0),
        content_hash=_hash(values),
        code_version=trained.code_version,
        walk=walk.name,
        metric=walk.metric,
        scores=values,
    )


def run_week(use_case: UseCase, key: str, *, walk: str | None = None, run_id: str | None = None) -> WeekScores:
    """Do all of a week: prepare, train, score.

    Raises:
        TooEarlyError: The walk has not begun, and too little is known as of the week to train.
        WalkForwardError: The walk has begun with other settings or later, or a week before is missing.
    """
    prepared = prepare_week(use_case, key, walk=walk)
    return score_week(use_case, train_week(use_case, prepared, run_id=run_id), run_id=run_id)


def _told(chosen: PolicyModel) -> dict[str, Any]:
    """Return what a policy's ledger row says of its model."""
    names = ("policy", "inputs", "walk_model_id", "trained", "reason", "drift")
    seconds = ("assemble_seconds", "train_seconds", "check_seconds")
    return {name: getattr(chosen, name) for name in (*names, *seconds)}


def _score(use_case: UseCase, number: int, examples: Examples) -> dict[str, Any]:
    """Return what a ledger row says of a model's scores of a week."""
    model = read_model(use_case, ledger.find_model(number))
    scores = model.score(examples.columns(model.feature_names))
    metric = use_case.gates.metric
    loss = float(use_case_losses(use_case, metric, examples.labels, scores).mean())
    return {
        "rows": len(examples),
        "label_mean": float(examples.labels.mean()),
        "loss": loss,
        "value": float(from_mean(metric, np.array([loss]))[0]),
        "metrics": measure_use_case(use_case, examples.labels, scores),
    }


def _one_week(use_case: UseCase, key: str) -> Week:
    weeks = parse_weeks(use_case, key)
    if len(weeks) != 1:
        raise WalkForwardError(f"{key} names {len(weeks)} weeks", where=use_case.name, hint="take them one by one")
    return weeks[0]


def _first_instant(use_case: UseCase, week: Week) -> datetime:
    """Return where the longest training window begins that a policy has for a week."""
    window: Window = "expanding" if "expanding" in use_case.walk_forward.policies else "sliding"
    return max(window_start(use_case, window, week), schedule_start(use_case))


def _records(use_case: UseCase, name: str, week: Week) -> tuple[Mapping[str, WeekRecord], Mapping[str, WeekRecord]]:
    """Return what stands of the week before and of the week itself, by policy."""
    walk = open_walk(use_case, name)
    if walk is None:
        return {}, {}
    _require_weeks_before(use_case, walk, week)
    by_week: dict[Any, dict[str, WeekRecord]] = {}
    for each in ledger.weeks_of(walk):
        by_week.setdefault(each.week, {})[each.policy] = each
    return by_week.get(week.before.first, {}), by_week.get(week.first, {})


def _require_weeks_before(use_case: UseCase, walk: WalkRecord, week: Week) -> None:
    """Refuse a week that the walk cannot reach: policies keep models from the week before."""
    where = f"{use_case.name}, walk {walk.name}, week {week.key}"
    if week < walk.first:
        raise WalkForwardError(
            f"the walk begins with {walk.first.key}",
            where=where,
            hint="a walk only goes forward: give another name to one that begins earlier",
        )
    there: dict[Any, set[str]] = {}
    for each in ledger.weeks_of(walk):
        there.setdefault(each.week, set()).add(each.policy)
    missing, step = [], walk.first
    while step < week:
        if there.get(step.first, set()) < set(walk.policies):
            missing.append(step.key)
        step = step.after
    if missing:
        raise WalkForwardError(
            f"the walk has no scores of {missing[0]}, whose models the weeks after it may keep",
            where=where,
            evidence=missing,
            hint=f"run the week {missing[0]} first; a backfill goes in order with at most 1 active run",
        )


def _require_enough(use_case: UseCase, week: Week) -> None:
    """Refuse to begin a walk before there is a row in each part of a training set, and rows enough."""
    training = use_case.training
    where = f"{use_case.name}, as of {week.key}"
    hint = "begin the walk with a later week"
    days = min(training.window_days, training.validation_days + training.test_days + DAYS)
    spine = steps.read_spine(use_case, week.as_of - timedelta(days=training.window_days), week.as_of, week.as_of)
    if spine.num_rows < training.minimum_rows:
        what = f"{spine.num_rows} labelled rows are known, training.minimum_rows is {training.minimum_rows}"
        raise TooEarlyError(what, where=where, hint=hint)
    first = _first_moment(spine)
    if first > week.as_of - timedelta(days=days - 1):
        what = f"the oldest row is of {first:%Y-%m-%d}, less than {days} days before"
        raise TooEarlyError(what, where=where, hint=hint)


def _first_moment(spine: pa.Table) -> datetime:
    import pyarrow.compute as pc

    moment = pc.min(spine.column("event_timestamp")).as_py()
    assert isinstance(moment, datetime)  # noqa: S101 - the spine has rows
    return moment.astimezone(UTC)


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
