"""Training-serving skew: served values computed again from the offline store, as of the moment when they were served.

What a receipt holds should be what training would have seen at that moment. Three differences are no skew and are told
apart: `lag` (built, but not online yet), `corrected` (built anew since then), `ahead` (a question about the past, which
is answered with what is newer).
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from mlforge import db
from mlforge.errors import MAX_EXAMPLES
from mlforge.features.on_demand import OnDemand
from mlforge.features.online_history import OnlineHistory
from mlforge.features.plan import OnlineView, make_plan
from mlforge.features.store import open_store
from mlforge.features.stores.encoding import STRING
from mlforge.refs import PartitionRange
from mlforge.spec import UseCase
from mlforge.spec.module import load_model_module

SAMPLE = 500
_TOLERANCE = 1e-9
# The same receipts each time, but no others than chance would take; a release's own try-outs are no traffic.
_SAMPLED: LiteralString = """
SELECT receipt_id::text, moment, predicted_at, request, features, feature_times FROM ledger.predictions
WHERE use_case = %s AND moment >= %s AND moment < %s AND key_name IS DISTINCT FROM 'smoke'
ORDER BY md5(receipt_id::text) LIMIT %s
"""
_RECORD: LiteralString = """
INSERT INTO ledger.skew_checks (use_case, partition_key, receipts, values_checked, skewed, report, run_id)
VALUES (%s, %s, %s, %s, %s, %s, %s)
"""
_LOOK_UP: LiteralString = """
SELECT a.n, due.event_timestamp AS due, same.event_timestamp AS same, {due}, {same}
FROM unnest(%(n)s::int[], %(moment)s::timestamptz[], %(at)s::timestamptz[], %(served)s::timestamptz[], {arrays})
    AS a (n, moment, at, served, {names})
LEFT JOIN LATERAL (
    SELECT * FROM {table} AS s
    WHERE {keys} AND s.event_timestamp <= a.moment AND s.known_at <= a.at
      AND (%(ttl)s = 0 OR s.event_timestamp >= a.moment - make_interval(secs => %(ttl)s))
    ORDER BY s.event_timestamp DESC, s.known_at DESC LIMIT 1
) AS due ON true
LEFT JOIN LATERAL (
    SELECT * FROM {table} AS s
    WHERE {keys} AND s.event_timestamp = a.served ORDER BY s.known_at <= a.at DESC, s.known_at DESC LIMIT 1
) AS same ON true
ORDER BY a.n
"""


@dataclass(frozen=True)
class Mismatch:
    """A served value that is not what the offline store gives."""

    receipt_id: str
    served: Any
    expected: Any


@dataclass
class SkewReport:
    """What a check found.

    Attributes:
        partition_key: Days of the predictions' moments.
        receipts: How many were looked at.
        values: How many values were compared.
        skewed: Feature → how many of its values differ without a reason.
        examples: Feature → up to five of them.
        lag: View → receipts served before newer values came online.
        corrected: View → receipts whose values were built anew since.
        ahead: View → receipts of questions about the past.
    """

    use_case: str
    partition_key: str
    receipts: int = 0
    values: int = 0
    skewed: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[Mismatch]] = field(default_factory=dict)
    lag: Counter[str] = field(default_factory=Counter)
    corrected: Counter[str] = field(default_factory=Counter)
    ahead: Counter[str] = field(default_factory=Counter)

    @property
    def ok(self) -> bool:
        """Whether nothing differs without a reason."""
        return not self.skewed

    def compare(self, name: str, receipt_id: str, served: Any, expected: Any) -> None:
        """Count a value, and note it where it differs."""
        self.values += 1
        if not same_value(served, expected):
            self.skewed[name] += 1
            examples = self.examples.setdefault(name, [])
            if len(examples) < MAX_EXAMPLES:
                examples.append(Mismatch(receipt_id, served, expected))

    def dump(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {
            "skewed": dict(self.skewed),
            "examples": {name: [vars(each) for each in found] for name, found in self.examples.items()},
            "lag": dict(self.lag),
            "corrected": dict(self.corrected),
            "ahead": dict(self.ahead),
        }


def same_value(served: Any, expected: Any) -> bool:
    """Return whether two values are the same to a model: nothing and NaN are, and so are numbers of different types."""
    if isinstance(expected, float) and math.isnan(expected):
        expected = None
    if served is None or expected is None or isinstance(served, str) or isinstance(expected, str):
        return bool(served == expected)
    return math.isclose(float(served), float(expected), rel_tol=_TOLERANCE, abs_tol=0.0)


def check_skew(
    use_case: UseCase, days: PartitionRange, sample: int = SAMPLE, *, run_id: str | None = None
) -> SkewReport:
    """Compare sampled receipts with the offline store, and write what was found into the ledger.

    Args:
        use_case: Whose predictions.
        days: Days of their moments.
        sample: How many receipts at most.
        run_id: What the ledger notes as the run.

    Raises:
        ServiceUnavailableError: The registry cannot be read.
        FeatureError: The feature service is not registered.
    """
    report = SkewReport(use_case.name, days.key)
    plan = make_plan(open_store(), use_case.feature_service)
    with db.connect() as connection:
        with connection.cursor(row_factory=dict_row) as cursor:
            receipts = cursor.execute(_SAMPLED, [use_case.name, days.start, days.end, sample]).fetchall()
        report.receipts = len(receipts)
        if receipts:
            known = _known(use_case, report, receipts)
            stored: list[dict[str, Any] | None] = [{} for _ in receipts]
            for view in plan.views:
                _check_view(connection, use_case, report, view, receipts, known, stored)
            _check_on_demand(use_case, report, receipts, known, stored)
        record = [use_case.name, days.key, report.receipts, report.values, report.skewed.total()]
        connection.execute(_RECORD, [*record, json.dumps(report.dump(), default=str), run_id])
    return report


def _known(use_case: UseCase, report: SkewReport, receipts: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    """Return what the requests say and what is derived from them, comparing the latter."""
    columns: dict[str, list[Any]] = {}
    for name, declared in use_case.prediction.request.items():
        values = [receipt["request"].get(name) for receipt in receipts]
        if declared.type == "timestamp":
            values = [None if value is None else datetime.fromisoformat(value) for value in values]
        columns[name] = values
    derived = load_model_module(use_case).derive(columns)
    for name in use_case.prediction.derived:
        for receipt, expected in zip(receipts, derived[name], strict=True):
            if name in receipt["features"]:
                report.compare(name, receipt["receipt_id"], receipt["features"][name], expected)
    return {**columns, **{name: list(values) for name, values in derived.items()}}


def _check_view(
    connection: psycopg.Connection[Any],
    use_case: UseCase,
    report: SkewReport,
    view: OnlineView,
    receipts: Sequence[dict[str, Any]],
    known: Mapping[str, list[Any]],
    stored: list[dict[str, Any] | None],
) -> None:
    """Compare a view's values; `stored` gets what they were, or None for a receipt of which that is not known."""
    history = OnlineHistory(connection, use_case, view.name)
    served = [_time(receipt["feature_times"].get(view.name)) for receipt in receipts]
    rows = _look_up(connection, use_case, view, receipts, served, known)
    for place, (receipt, time, row) in enumerate(zip(receipts, served, rows, strict=True)):
        moment, at = receipt["moment"], receipt["predicted_at"]
        which = _expected(view, time, moment, row)
        if which == "same" and time is not None and time > moment:
            report.ahead[view.name] += 1
        expected = {name: None if which is None else row[f"{which}_{name}"] for name in view.features}
        values = {
            name: receipt["features"][f"{view.name}__{name}"]
            for name in view.features
            if f"{view.name}__{name}" in receipt["features"]
        }
        if all(same_value(value, expected[name]) for name, value in values.items()):
            report.values += len(values)
            seen = stored[place]
            if seen is not None:
                seen |= {f"{view.name}__{name}": value for name, value in expected.items()}
            continue
        stored[place] = None
        event = row["due"] if which == "due" else time
        reason = None if event is None else history.explain(history.partition_of(event), at)
        if reason is not None:
            (report.lag if reason == "lag" else report.corrected)[view.name] += 1
            continue
        for name, value in values.items():
            report.compare(f"{view.name}__{name}", receipt["receipt_id"], value, expected[name])


def _check_on_demand(
    use_case: UseCase,
    report: SkewReport,
    receipts: Sequence[dict[str, Any]],
    known: Mapping[str, list[Any]],
    stored: Sequence[dict[str, Any] | None],
) -> None:
    """Compare the on-demand features of receipts whose stored features are what they should be."""
    on_demand = OnDemand(use_case)
    for place, (receipt, values) in enumerate(zip(receipts, stored, strict=True)):
        if values is None:
            continue
        columns = {name: [column[place]] for name, column in known.items()}
        columns |= {name: [None if value != value else value] for name, value in values.items()}
        for name, (expected,) in on_demand.compute(columns).items():
            if name in receipt["features"]:
                report.compare(name, receipt["receipt_id"], receipt["features"][name], expected)


def _expected(view: OnlineView, served: datetime | None, moment: datetime, row: Mapping[str, Any]) -> str | None:
    """Return which row the served values should be: the one of the served time, the newest one due, or none."""
    if served is not None and served > moment:
        return "same"
    if row["due"] is not None and (served is None or served < row["due"]):
        return "due"
    usable = served is not None and not (view.ttl and moment - served > view.ttl)
    return "same" if usable else None


def _look_up(
    connection: psycopg.Connection[Any],
    use_case: UseCase,
    view: OnlineView,
    receipts: Sequence[dict[str, Any]],
    served: Sequence[datetime | None],
    known: Mapping[str, list[Any]],
) -> list[dict[str, Any]]:
    """Return per receipt the row that was due, and the row of the served time."""
    places = range(len(view.keys))
    arrays = [
        sql.SQL("%({})s::{}[]").format(sql.SQL(f"k{place}"), sql.SQL("text" if kind == STRING else "bigint"))
        for place, kind in enumerate(view.key_types)
    ]
    query = sql.SQL(_LOOK_UP).format(
        due=_columns("due", view.features),
        same=_columns("same", view.features),
        arrays=sql.SQL(", ").join(arrays),
        names=sql.SQL(", ").join(sql.Identifier(f"k{place}") for place in places),
        table=sql.Identifier("features", use_case.view_table(view.name)),
        keys=sql.SQL(" AND ").join(
            sql.SQL("s.{} = a.{}").format(sql.Identifier(name), sql.Identifier(f"k{place}"))
            for place, name in enumerate(view.keys)
        ),
    )
    bound = {
        "n": list(range(len(receipts))),
        "moment": [receipt["moment"] for receipt in receipts],
        "at": [receipt["predicted_at"] for receipt in receipts],
        "served": list(served),
        "ttl": view.ttl_seconds,
        **{f"k{place}": known[name] for place, name in enumerate(view.keys)},
    }
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query, bound).fetchall()


def _columns(table: str, names: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(
        sql.SQL("{}.{} AS {}").format(sql.Identifier(table), sql.Identifier(name), sql.Identifier(f"{table}_{name}"))
        for name in names
    )


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
