"""The Python of a scaffold: model.py, the Feast module, and the DAG file."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from mlforge.scaffold.draft import Draft, View
from mlforge.scaffold.sql import WEEKDAY, feature_names
from mlforge.scaffold.templates import fill
from mlforge.scaffold.texts import prose, python_text, python_value
from mlforge.scaffold.use_case_file import derived, title

_LINE = 120
_FEAST_TYPES = {"string": "String", "integer": "Int64"}
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
        description=python_text(title(draft)),
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


def dag_text(draft: Draft) -> str:
    """Return the DAG file."""
    return fill("dag.py", name=draft.name, title=title(draft))
