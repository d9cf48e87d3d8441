"""The files of a use case, from a draft: recognisable beside those that are shipped."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from mlforge.scaffold.columns import Column
from mlforge.scaffold.contract import contract_text, range_options
from mlforge.scaffold.draft import Draft, View
from mlforge.scaffold.names import unique_name
from mlforge.scaffold.sql import HOUR, WEEKDAY, event_sql, feature_names, known_sql, spine_sql, view_sql
from mlforge.scaffold.templates import fill
from mlforge.scaffold.texts import prose, python_text, python_value, yaml_value

_WIDTH = 118
_LINE = 120
_FEAST_TYPES = {"string": "String", "integer": "Int64"}


def render(draft: Draft) -> dict[PurePosixPath, str]:
    """Return the text of every file by its path below the project's root."""
    folder = PurePosixPath("include/use_cases") / draft.name
    views = {folder / f"features/{view.name}.sql": view_sql(draft, view) for view in draft.views}
    return {
        folder / "use_case.yaml": use_case_text(draft),
        folder / f"contracts/{draft.dataset}.yaml": contract_text(draft),
        **views,
        folder / "spine.sql": spine_sql(draft),
        folder / "model.py": model_text(draft),
        folder / "README.md": readme_text(draft),
        PurePosixPath(f"feature_repo/{draft.name}.py"): feature_repo_text(draft),
        PurePosixPath(f"dags/{draft.name}.py"): fill("dag.py", name=draft.name, title=_title(draft)),
    }


def _title(draft: Draft) -> str:
    return f"{draft.target.column.alias} of {draft.dataset}"


def _question(draft: Draft) -> str:
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
    yield f"title: {yaml_value(_title(draft))}"
    yield f"description: {yaml_value(_question(draft))}"
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
    import datetime as dt

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


_LABEL_CLASS = '''\
def label(outcome: Mapping[str, Sequence[Any]]) -> list[float]:
    """Return 1.0 for each row of the positive class, else 0.0."""
    return [float(value == POSITIVE) for value in outcome[{target}]]'''
_LABEL_NUMBER = '''\
def label(outcome: Mapping[str, Sequence[float]]) -> list[float]:
    """Return what is predicted."""
    return [float(value) for value in outcome[{target}]]'''
_DAYS_SINCE = """

def _days_since(earlier: Sequence[datetime | None], moments: Sequence[datetime]) -> list[float | None]:
    return [
        None if first is None else (moment - first).total_seconds() / 86_400
        for first, moment in zip(earlier, moments, strict=True)
    ]
"""


def model_text(draft: Draft) -> str:
    """Return model.py."""
    target, utc = draft.target, draft.timezone == "UTC"
    classes = target.task == "classification"
    label = (_LABEL_CLASS if classes else _LABEL_NUMBER).format(target=python_text(target.column.alias))
    return fill(
        "model.py",
        target=prose(target.column.name),
        imports=_model_imports(draft),
        constants="".join(_model_constants(draft)),
        kind="classifier" if classes else "regressor",
        estimator="XGBClassifier" if classes else "XGBRegressor",
        objective="binary:logistic" if classes else "reg:squarederror",
        metric="logloss" if classes else "mae",
        label=label,
        zone="UTC" if utc else "ZONE",
        moment=python_text(draft.time.alias),
        derived="\n".join(f"        {python_text(name)}: {code}," for name, (_, code) in derived(draft).items()),
        helpers=_DAYS_SINCE if draft.earlier_times else "",
    )


def _model_imports(draft: Draft) -> str:
    utc = draft.timezone == "UTC"
    times = [name for name, used in (("UTC", utc), ("datetime", bool(draft.earlier_times))) if used]
    lines = ["from collections.abc import Mapping, Sequence"]
    lines += [f"from datetime import {', '.join(times)}"] if times else []
    lines += ["from typing import Any"]
    lines += [] if utc else ["from zoneinfo import ZoneInfo"]
    return "\n".join(lines)


def _model_constants(draft: Draft) -> Iterator[str]:
    if draft.target.task == "classification" or draft.timezone != "UTC":
        yield "\n"
    if draft.target.task == "classification":
        yield f"POSITIVE = {python_value(draft.target.positive)}\n"
    if draft.timezone != "UTC":
        yield f"ZONE = ZoneInfo({python_text(draft.timezone)})\n"


def feature_repo_text(draft: Draft) -> str:
    """Return what Feast is told."""
    keys = list(dict.fromkeys(column for view in draft.views for column in view.entity))
    if any(not view.entity for view in draft.views):
        entities = [_entity(draft, WEEKDAY, "integer", "Weekday of the moment, Monday is 0")]
    else:
        entities = [_entity(draft, column.alias, column.kind, column.alias) for column in keys]
    kinds = {_FEAST_TYPES[column.kind] for column in keys} or {"Int64"}
    return fill(
        "feature_repo.py",
        name=draft.name,
        types=", ".join(sorted({"Float64", *kinds})),
        owner=python_text(draft.owner),
        period=draft.partitions.period,
        ttl=21 if draft.partitions.period == "week" else 7,
        entities="\n".join(entities),
        views="\n".join(_view(draft, view) for view in draft.views),
        view_names=_python_list([f"view_{view.name}" for view in draft.views], indent=len("    features=")),
        description=python_text(_title(draft)),
    )


def _entity(draft: Draft, alias: str, kind: str, description: str) -> str:
    value_type = "STRING" if kind == "string" else "INT64"
    return textwrap.dedent(f"""\
        entity_{alias} = Entity(
            name={python_text(f"{draft.name}_{alias}")},
            join_keys=[{python_text(alias)}],
            value_type=ValueType.{value_type},
            description={python_text(description)},
            owner=OWNER,
            tags=TAGS,
        )""")


def _view(draft: Draft, view: View) -> str:
    short, long = draft.windows
    keys = [(column.alias, _FEAST_TYPES[column.kind]) for column in view.entity] or [(WEEKDAY, "Int64")]
    what = " and ".join(alias for alias, _ in keys)
    description = (
        f"Rows of the {what[:60]}, last {short} and {long} days, as known at the {draft.partitions.period}'s end"
    )
    arguments = [
        python_text(view.name),
        _python_list([f"entity_{alias}" for alias, _ in keys]),
        _python_list([f"Field(name={python_text(alias)}, dtype={kind})" for alias, kind in keys]),
        _python_list([python_text(name) for name in feature_names(draft)]),
        python_text(description),
    ]
    return f"view_{view.name} = _view(\n" + "".join(f"    {argument},\n" for argument in arguments) + ")"


def _python_list(items: list[str], *, indent: int = 4) -> str:
    """Return a list as ruff formats it as an argument: in one line where it fits, else an item a line."""
    line = f"[{', '.join(items)}]"
    if indent + len(line) + 1 <= _LINE:
        return line
    inner = "".join(f"{' ' * (indent + 4)}{item},\n" for item in items)
    return f"[\n{inner}{' ' * indent}]"


def readme_text(draft: Draft) -> str:
    """Return the use case's README."""
    partitions, target = draft.partitions, draft.target
    outcome = f"`{target.column.alias}`"
    if target.task == "classification":
        outcome = f"`{target.column.alias}` is {prose(str(target.positive))}"
    known = "when its partition has ended" if draft.known_after is None else f"{draft.known_after} days later"
    later = "".join(
        f"- `{prose(name)}` was left out of the request: {prose(reason)}.\n" for name, reason in draft.later.items()
    )
    short, long = draft.windows
    per = ", ".join(" and ".join(f"`{c.alias}`" for c in view.entity) or "weekday" for view in draft.views)
    return fill(
        "README.md",
        name=draft.name,
        question=_question(draft),
        source=f"{prose(draft.sample.origin.label)}",
        period=partitions.period,
        time=prose(draft.time.name),
        target_line=outcome,
        moment=draft.time.alias,
        known=known,
        features=f"counts and means of the last {short} and {long} days per {per}",
        calibrated=", calibrated on the validation days" if target.task == "classification" else "",
        later=later,
        setup=_setup(draft),
        commands="\n".join(next_commands(draft)),
    )


def next_commands(draft: Draft) -> list[str]:
    """Return what a person types next: from the source to an answer behind the gateway."""
    first, last = draft.partitions.start, draft.partitions.end
    return [
        "mlforge up",
        f"mlforge stage publish --use-case {draft.name} --from {first} --to {last}",
        f"mlforge stage materialize --use-case {draft.name} --from {first} --to {last}",
        f"mlforge stage promote --use-case {draft.name} --partition {last}",
        f"mlforge stage roll-out --use-case {draft.name} --partition {last}",
    ]


def _setup(draft: Draft) -> str:
    connection = draft.sample.origin.source.get("connection")
    if connection is None:
        return ""
    return (
        f"The source needs the connection `{connection}`: add it in Airflow under Admin → Connections, or set"
        f" `AIRFLOW_CONN_{connection.upper()}` to its address.\n\n"
    )
