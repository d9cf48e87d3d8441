"""What the ledger knows of walks, their models and their weeks."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from mlforge import db
from mlforge.errors import WalkForwardError
from mlforge.refs import STATIC_KEY
from mlforge.walk_forward.weeks import Week


@dataclass(frozen=True)
class WalkRecord:
    """A walk.

    Attributes:
        settings: Hash of what makes it this walk.
        details: The settings in words.
    """

    walk_id: int
    use_case: str
    name: str
    settings: str
    metric: str
    policies: list[str]
    details: dict[str, Any]
    first_week: dt.date
    run_id: str | None
    begun_at: dt.datetime

    @property
    def first(self) -> Week:
        """Its first week."""
        return Week(self.first_week)


@dataclass(frozen=True)
class ModelRecord:
    """A model of walks; see the table `ledger.walk_models`."""

    walk_model_id: int
    use_case: str
    recipe: str
    as_of: dt.datetime
    window_start: dt.datetime
    training_hash: str
    training_rows: int
    model_hash: str
    uri: str
    description: dict[str, Any]
    metrics: dict[str, float]
    assemble_seconds: float
    train_seconds: float
    code_version: str
    run_id: str | None
    trained_at: dt.datetime


@dataclass(frozen=True)
class WeekRecord:
    """A week of a walk under one policy; see the table `ledger.walk_weeks`."""

    walk_week_id: int
    walk_id: int
    week: dt.date
    policy: str
    inputs: str
    walk_model_id: int
    trained: bool
    reason: str
    drift: dict[str, Any]
    rows: int
    rows_hash: str
    label_mean: float
    loss: float
    value: float
    metrics: dict[str, float]
    assemble_seconds: float
    train_seconds: float
    check_seconds: float
    run_id: str | None
    recorded_at: dt.datetime
    model_hash: str
    as_of: dt.datetime
    training_rows: int
    training_hash: str

    @property
    def seconds(self) -> float:
        """What the week has cost the policy: assembling, training, looking for drift."""
        return self.assemble_seconds + self.train_seconds + self.check_seconds


_FIND_WALK = "SELECT * FROM ledger.walks WHERE use_case = %(use_case)s AND name = %(name)s"
_WALKS = "SELECT * FROM ledger.walks WHERE use_case = %(use_case)s ORDER BY walk_id DESC"
_BEGIN = """
INSERT INTO ledger.walks (use_case, name, settings, metric, policies, details, first_week, run_id)
VALUES (%(use_case)s, %(name)s, %(settings)s, %(metric)s, %(policies)s, %(details)s, %(first_week)s, %(run_id)s)
ON CONFLICT (use_case, name) DO NOTHING
"""
_FIND_MODEL = "SELECT * FROM ledger.walk_models WHERE walk_model_id = %(number)s"
_FIND_RECIPE = """
SELECT * FROM ledger.walk_models WHERE use_case = %(use_case)s AND recipe = %(recipe)s
ORDER BY walk_model_id DESC LIMIT 1
"""
_RECORD_MODEL = """
INSERT INTO ledger.walk_models (use_case, recipe, as_of, window_start, training_hash, training_rows, model_hash, uri,
    description, metrics, assemble_seconds, train_seconds, code_version, run_id)
VALUES (%(use_case)s, %(recipe)s, %(as_of)s, %(window_start)s, %(training_hash)s, %(training_rows)s, %(model_hash)s,
    %(uri)s, %(description)s, %(metrics)s, %(assemble_seconds)s, %(train_seconds)s, %(code_version)s, %(run_id)s)
RETURNING *
"""
_WEEKS = """
SELECT w.*, m.model_hash, m.as_of, m.training_rows, m.training_hash
FROM ledger.current_walk_weeks AS w JOIN ledger.walk_models AS m USING (walk_model_id)
WHERE w.walk_id = %(walk_id)s ORDER BY w.week, w.policy
"""
_RECORD_WEEK = """
INSERT INTO ledger.walk_weeks (walk_id, week, policy, inputs, walk_model_id, trained, reason, drift, rows, rows_hash,
    label_mean, loss, value, metrics, assemble_seconds, train_seconds, check_seconds, run_id)
VALUES (%(walk_id)s, %(week)s, %(policy)s, %(inputs)s, %(walk_model_id)s, %(trained)s, %(reason)s, %(drift)s, %(rows)s,
    %(rows_hash)s, %(label_mean)s, %(loss)s, %(value)s, %(metrics)s, %(assemble_seconds)s, %(train_seconds)s,
    %(check_seconds)s, %(run_id)s)
"""
_STANDS = """
SELECT 1 FROM ledger.current_walk_weeks
WHERE walk_id = %(walk_id)s AND week = %(week)s AND policy = %(policy)s AND inputs = %(inputs)s
"""
_PUBLISHED = """
SELECT 'rows', dataset, max(publication_id) FROM ledger.publications
WHERE use_case = %(use_case)s AND (partition_key < %(end)s OR partition_key = %(static)s) GROUP BY dataset
UNION ALL
SELECT 'features', view, max(feature_publication_id) FROM ledger.feature_publications
WHERE use_case = %(use_case)s AND (partition_key < %(end)s OR partition_key = %(static)s) GROUP BY view
ORDER BY 1, 2
"""


def find_walk(use_case: str, name: str) -> WalkRecord | None:
    """Return a walk by its name, none if it has not begun."""
    with db.connect() as connection, connection.cursor(row_factory=class_row(WalkRecord)) as cursor:
        return cursor.execute(_FIND_WALK, {"use_case": use_case, "name": name}).fetchone()


def list_walks(use_case: str) -> list[WalkRecord]:
    """Return a use case's walks, newest first."""
    with db.connect() as connection, connection.cursor(row_factory=class_row(WalkRecord)) as cursor:
        return cursor.execute(_WALKS, {"use_case": use_case}).fetchall()


def begin_walk(values: dict[str, Any]) -> WalkRecord:
    """Return a walk; it begins unless it has begun already.

    Raises:
        WalkForwardError: Another walk of that name was faster.
    """
    with db.connect() as connection:
        connection.execute(_BEGIN, {**values, "details": Jsonb(values["details"])})
    walk = find_walk(values["use_case"], values["name"])
    if walk is None or walk.settings != values["settings"]:
        raise WalkForwardError(
            f"another walk {values['name']!r} has begun", where=values["use_case"], hint="give this one another name"
        )
    return walk


def weeks_of(walk: WalkRecord) -> list[WeekRecord]:
    """Return the weeks of a walk that stand, oldest first, every policy."""
    with db.connect() as connection, connection.cursor(row_factory=class_row(WeekRecord)) as cursor:
        return cursor.execute(_WEEKS, {"walk_id": walk.walk_id}).fetchall()


def record_weeks(walk: WalkRecord, week: Week, rows: Sequence[dict[str, Any]]) -> None:
    """Add a week's scores, one per policy, all or none; what stands with the same inputs is left alone."""
    with db.connect() as connection:
        db.lock_partition(connection, walk.use_case, f"walk {walk.name}", week.key)
        for row in rows:
            values = {**row, "walk_id": walk.walk_id, "week": week.first}
            if connection.execute(_STANDS, values).fetchone() is None:
                connection.execute(_RECORD_WEEK, _as_json(values))


def find_model(number: int) -> ModelRecord:
    """Return a model of walks by its number.

    Raises:
        WalkForwardError: There is none.
    """
    with db.connect() as connection, connection.cursor(row_factory=class_row(ModelRecord)) as cursor:
        found = cursor.execute(_FIND_MODEL, {"number": number}).fetchone()
    if found is None:
        raise WalkForwardError(f"there is no walk model {number}")
    return found


def find_recipe(use_case: str, recipe: str) -> ModelRecord | None:
    """Return the model made of the same rows, settings and code; none if there is none."""
    with db.connect() as connection, connection.cursor(row_factory=class_row(ModelRecord)) as cursor:
        return cursor.execute(_FIND_RECIPE, {"use_case": use_case, "recipe": recipe}).fetchone()


def record_model(values: dict[str, Any]) -> ModelRecord:
    """Add a model and return it."""
    with db.connect() as connection, connection.cursor(row_factory=class_row(ModelRecord)) as cursor:
        made = cursor.execute(_RECORD_MODEL, _as_json(values)).fetchone()
    assert made is not None  # noqa: S101 - an INSERT returns its row
    return made


def data_state(use_case: str, week: Week) -> list[list[Any]]:
    """Return what was published last of each dataset and view, of partitions before a week's end."""
    values = {"use_case": use_case, "end": str(week.end.date()), "static": STATIC_KEY}
    with db.connect() as connection:
        return [list(row) for row in connection.execute(_PUBLISHED, values).fetchall()]


def _as_json(values: dict[str, Any]) -> dict[str, Any]:
    return {name: Jsonb(value) if isinstance(value, dict) else value for name, value in values.items()}
