"""use_case.yaml of a scaffold."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

from mlforge.scaffold.columns import Column
from mlforge.scaffold.contract import range_options
from mlforge.scaffold.draft import Draft
from mlforge.scaffold.names import unique_name
from mlforge.scaffold.sql import HOUR, WEEKDAY, event_sql, known_sql
from mlforge.scaffold.texts import prose, python_text, yaml_value

_WIDTH = 118


def title(draft: Draft) -> str:
    """Return what is predicted of what, in a few words of safe letters."""
    return f"{draft.target.column.alias} of {draft.dataset}"


def question(draft: Draft) -> str:
    """Return the question that a prediction answers."""
    target, time = prose(draft.target.column.name), prose(draft.time.name)
    if draft.target.task == "regression":
        return f"How much will {target} be? Asked at {time}."
    return f"Will {target} be {prose(str(draft.target.positive))}? Asked at {time}."


def derived(draft: Draft) -> dict[str, tuple[str, str]]:
    """Return the fields that the request alone tells: name → its type, and the Python that computes a list of it."""
    fields = {WEEKDAY: ("integer", "[moment.weekday() for moment in moments]")}
    if draft.has_hours:
        fields[HOUR] = ("integer", "[moment.hour for moment in moments]")
    taken = [column.alias for column in draft.columns.values()]
    for column in draft.earlier_times:
        name = unique_name(f"days_since_{column.alias}"[:24].rstrip("_"), [*taken, *fields])
        fields[name] = ("number", f"_days_since(request[{python_text(column.alias)}], moments)")
    return fields


def use_case_text(draft: Draft) -> str:
    """Return use_case.yaml."""
    return (
        "\n".join([*_head(draft), *_datasets(draft), *_features(draft), *_prediction(draft), *_training(draft)]) + "\n"
    )


def _head(draft: Draft) -> Iterator[str]:
    partitions, target = draft.partitions, draft.target
    yield f"name: {yaml_value(draft.name)}"
    yield f"title: {yaml_value(title(draft))}"
    yield f"description: {yaml_value(question(draft))}"
    yield f"owner: {yaml_value(draft.owner)}"
    yield f"tags: [{target.task}]"
    yield f"task: {target.task}"
    yield ""
    yield "schedule:"
    yield '  cron: "0 0 * * *"' if partitions.period == "day" else f'  cron: "0 0 * * {_cron_day(draft)}"'
    if partitions.period == "week":
        yield "  period: week"
    yield f"  start: {partitions.start}"
    if not draft.open_ended:
        yield f"  end: {partitions.end}          # the source ends here; remove it when more is to come"
    yield ""


def _cron_day(draft: Draft) -> int:
    return draft.partitions.start.isoweekday() % 7


def _datasets(draft: Draft) -> Iterator[str]:
    yield "datasets:"
    yield f"  {yaml_value(draft.dataset)}:"
    yield f"    contract: contracts/{draft.dataset}.yaml"
    yield "    source:"
    for key, value in draft.sample.origin.source.items():
        yield f"      {key}: {yaml_value(value)}"
    yield f"      partition_column: {yaml_value(draft.time.name)}"
    if draft.timezone != "UTC":
        yield f"      timezone: {yaml_value(draft.timezone)}"
    yield f"    event_timestamp: {yaml_value(event_sql(draft))}"
    if draft.known_after is None:
        yield f"    # Known when the {draft.partitions.period} has ended. If the outcome comes later, say so here."
    yield f"    known_at: {yaml_value(known_sql(draft))}"
    yield "    policy: {broken_rows: quarantine, quarantine_up_to: 0.01}"
    yield ""


def _features(draft: Draft) -> Iterator[str]:
    lookback = draft.windows[1] + (draft.known_after or 0)
    yield "features:"
    for view in draft.views:
        yield f"  {yaml_value(view.name)}: {{lookback_days: {lookback}}}"
    yield f"feature_service: {yaml_value(draft.name)}"
    yield ""


def _prediction(draft: Draft) -> Iterator[str]:
    yield "prediction:"
    yield f"  moment: {yaml_value(draft.time.alias)}"
    if draft.later or draft.left_out:
        yield "  # Not asked, as far as could be seen:"
        for name, reason in {**draft.later, **draft.left_out}.items():
            yield f"  #   {prose(name)}: {prose(reason)}"
    yield "  request:"
    for column in draft.asked:
        yield from _field(draft, column)
    yield "  derived:"
    for name, (kind, _) in derived(draft).items():
        yield f"    {name}: {kind}"
    key = draft.key or tuple(column for view in draft.views for column in view.entity)
    names = list(dict.fromkeys([*(column.alias for column in key), *([] if draft.key else [draft.time.alias])]))
    yield f"  key: [{', '.join(map(yaml_value, names))}]"
    if draft.target.labels:
        yield f"  labels: {yaml_value(list(draft.target.labels))}"
    yield ""


def _field(draft: Draft, column: Column) -> Iterator[str]:
    kind = "timestamp" if column.temporal else column.kind
    if column.kind == "integer" and column.nulls:
        kind = "number"  # a whole number that may be missing is a float in every training set
    parts = [f"type: {kind}", f"example: {yaml_value(_example(column))}"]
    if column.kind == "string":
        parts.append(f"max_length: {max(8, column.highest * 2)}")
    elif column.numeric:
        limits = {} if column.kind == "boolean" else range_options(column)
        parts += [f"{name}: {yaml_value(limit)}" for name, limit in limits.items()]
    if column.nulls:
        parts.append("required: false")
    if column.name not in draft.features:
        parts.append("feature: false")
    if column.name != column.alias:
        parts.append(f"description: {yaml_value(column.name)}")
    line = f"    {yaml_value(column.alias)}: {{{', '.join(parts)}}}"
    if len(line) <= _WIDTH:
        yield line
        return
    yield f"    {yaml_value(column.alias)}:"
    yield from (f"      {part}" for part in parts)


def _example(column: Column) -> Any:
    if not column.temporal:
        return column.usual
    moment = column.highest
    if isinstance(moment, dt.datetime):
        return moment.replace(microsecond=0).astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"{moment}T00:00:00Z"


def _training(draft: Draft) -> Iterator[str]:
    windows, target = draft.training, draft.target
    rows = len(draft.sample.table)
    yield "training:"
    yield "  spine: spine.sql"
    yield f"  outcome: [{yaml_value(target.column.alias)}]"
    yield f"  window_days: {windows.window_days}"
    yield f"  validation_days: {windows.validation_days}"
    yield f"  test_days: {windows.test_days}"
    yield f"  minimum_rows: {windows.minimum_rows}"
    yield "  parameters:"
    parameters = {
        "n_estimators": 300,
        "learning_rate": 0.05,
        "max_depth": 3 if rows < 5_000 else 4,
        "min_child_weight": 5 if rows < 5_000 else 20,
        "subsample": 0.8,
        "colsample_bytree": 0.8,
        "reg_lambda": 5.0,
    }
    yield from (f"    {name}: {value}" for name, value in parameters.items())
    yield ""
    yield from _gates(draft)
    if draft.partitions.period == "week":
        yield ""
        yield "monitors:"
        yield "  window_days: 28"


def _gates(draft: Draft) -> Iterator[str]:
    import numpy as np

    yield "gates:"
    if draft.target.task == "classification":
        yield "  metric: log_loss"
        yield "  non_inferiority_margin: 0.005"
        yield "  beat_baselines: [base_rate]"
        yield "  maximum_calibration_error: 0.15"
        return
    spread = float(np.nanmean(np.abs(draft.target.outcomes - np.nanmedian(draft.target.outcomes))))
    yield "  metric: mae"
    yield f"  non_inferiority_margin: {float(f'{spread / 50:.2g}')}  # in the unit of {prose(draft.target.column.name)}"
    yield "  beat_baselines: [mean]"
    yield "  maximum_relative_bias: 0.25"
