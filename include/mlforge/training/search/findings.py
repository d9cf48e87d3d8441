"""What searches have chosen: rows of the ledger, so that a later training can use them again."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg.types.json import Jsonb

from mlforge import db
from mlforge.db.locks import lock_partition
from mlforge.refs import PlannedSearch, TrainingSet, Tuning, code_version
from mlforge.spec import UseCase
from mlforge.training.plan import FitPlan
from mlforge.training.search.summaries import FINISHED, study_uri

_SELECT = """
SELECT finding_id, partition_key, as_of, training_set_hash, study, family, parameters, features, value, trials, notes,
       found_at
FROM ledger.search_findings
"""
_OF_STUDY = _SELECT + "WHERE study = %(study)s"
_BY_ID = _SELECT + "WHERE finding_id = %(finding)s"
# Never one of a later training set: it has seen what this one must not know.
_NEWEST = (
    _SELECT
    + """
WHERE use_case = %(use_case)s AND settings_hash = %(settings)s
  AND as_of <= %(as_of)s AND as_of > %(oldest)s
ORDER BY as_of DESC, finding_id DESC LIMIT 1
"""
)
_INSERT = """
INSERT INTO ledger.search_findings
    (use_case, partition_key, as_of, training_set_hash, settings_hash, study, family, parameters, features, value,
     trials, notes, run_id)
VALUES
    (%(use_case)s, %(partition_key)s, %(as_of)s, %(training_set_hash)s, %(settings)s, %(study)s, %(family)s,
     %(parameters)s, %(features)s, %(value)s, %(trials)s, %(notes)s, %(run_id)s)
"""


@dataclass(frozen=True)
class Finding:
    """What a search chose.

    Attributes:
        finding_id: Its row in the ledger.
        partition_key: Of the training set.
        as_of: Of the training set; its age is counted from here.
        training_set_hash: Which training set.
        study: Name of the study.
        plan: What it chose.
        value: Mean loss over the folds.
        trials: State → how many trials.
        notes: What a person should know.
        found_at: When, UTC.
    """

    finding_id: int
    partition_key: str
    as_of: datetime
    training_set_hash: str
    study: str
    plan: FitPlan
    value: float | None
    trials: dict[str, int]
    notes: tuple[str, ...]
    found_at: datetime

    def tuning(self, use_case: UseCase, training_set: TrainingSet) -> Tuning:
        """Return what a training set is trained with."""
        plan = {"family": self.plan.family, "parameters": self.plan.parameters, "features": self.plan.features}
        return Tuning(
            use_case=use_case.name,
            partition_key=training_set.partition_key,
            uri=study_uri(self.study),
            rows=sum(self.trials.get(state, 0) for state in FINISHED),
            content_hash=hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest(),
            code_version=code_version(use_case.folder),
            training_set=training_set,
            family=self.plan.family,
            parameters=dict(self.plan.parameters),
            features=self.plan.features,
            value=self.value,
        )


def find_finding(study: str) -> Finding | None:
    """Return what a study has chosen, none as long as it has not.

    Raises:
        ServiceUnavailableError: PostgreSQL does not answer.
    """
    return _one(_OF_STUDY, {"study": study})


def read_finding(finding_id: int) -> Finding | None:
    """Return a row of the ledger.

    Raises:
        ServiceUnavailableError: PostgreSQL does not answer.
    """
    return _one(_BY_ID, {"finding": finding_id})


def young_finding(use_case: UseCase, training_set: TrainingSet, settings: str, *, days: int) -> Finding | None:
    """Return the newest finding with the same settings that is not too old for a training set.

    Age is counted between the training sets' instants, not by the clock: in a backfill an older training set never
    uses what was found with later data.

    Args:
        use_case: Whose.
        training_set: What is to be trained on.
        settings: Hash of the settings that a finding depends on.
        days: It must be younger than that.

    Raises:
        ServiceUnavailableError: PostgreSQL does not answer.
    """
    values = {
        "use_case": use_case.name,
        "settings": settings,
        "as_of": training_set.as_of,
        "oldest": training_set.as_of - timedelta(days=days),
    }
    return _one(_NEWEST, values)


def record_finding(
    planned: PlannedSearch,
    plan: FitPlan,
    *,
    value: float | None,
    trials: dict[str, int],
    notes: tuple[str, ...],
    run_id: str | None,
) -> Finding:
    """Return what a study has chosen, written down once: of two that choose at the same time, the first one's.

    Raises:
        ServiceUnavailableError: PostgreSQL does not answer.
    """
    values = {
        "use_case": planned.use_case,
        "partition_key": planned.partition_key,
        "as_of": planned.training_set.as_of,
        "training_set_hash": planned.training_set.content_hash,
        "settings": planned.content_hash,
        "study": planned.study,
        "family": plan.family,
        "parameters": Jsonb(dict(plan.parameters)),
        "features": Jsonb(list(plan.features)),
        "value": value,
        "trials": Jsonb(trials),
        "notes": Jsonb(list(notes)),
        "run_id": run_id,
    }
    with db.connect() as connection:
        lock_partition(connection, "search finding", planned.study)
        row = connection.execute(_OF_STUDY, values).fetchone()
        if row is None:
            connection.execute(_INSERT, values)
            row = connection.execute(_OF_STUDY, values).fetchone()
    if row is None:
        raise AssertionError("the row that was just written")
    return _finding(row)


def _one(query: str, values: dict[str, Any]) -> Finding | None:
    with db.connect() as connection:
        row = connection.execute(query.encode(), values).fetchone()
    return None if row is None else _finding(row)


def _finding(row: tuple[Any, ...]) -> Finding:
    number, key, as_of, digest, study, family, parameters, features, value, trials, notes, found_at = row
    return Finding(
        finding_id=number,
        partition_key=key,
        as_of=as_of,
        training_set_hash=digest,
        study=study,
        plan=FitPlan(family, parameters, tuple(features)),
        value=value,
        trials=trials,
        notes=tuple(notes),
        found_at=found_at,
    )
