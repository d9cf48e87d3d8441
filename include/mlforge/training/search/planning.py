"""Planning a search: which study, how many workers, or whose finding is used again."""

from __future__ import annotations

import hashlib
import json
import logging
from typing import TYPE_CHECKING

from mlforge import db
from mlforge.db.locks import lock_partition
from mlforge.errors import SpecError
from mlforge.fingerprints import fingerprints
from mlforge.refs import PlannedSearch, TrainingSet, code_version
from mlforge.spec import UseCase
from mlforge.training.search.cores import cores_found
from mlforge.training.search.findings import Finding, find_finding, young_finding
from mlforge.training.search.spaces import require_spaces, searched_families, waiting_defaults
from mlforge.training.search.storage import open_storage
from mlforge.training.search.summaries import DEFAULT, study_uri

if TYPE_CHECKING:
    from optuna.study import Study

log = logging.getLogger(__name__)

# Notes on a study.
STARTED, PARTITION, _TRAINING_SET, _AS_OF = "started", "partition_key", "training_set", "as_of"
# What a finding depends on, and what losses must have in common to be compared in one study.
_SETTINGS = ("settings", "model", "features")
_ENVIRONMENT = (*_SETTINGS, "contracts", "library", "lock", "python", "platform")


def plan_search(use_case: UseCase, training_set: TrainingSet) -> PlannedSearch:
    """Return the search for a training set: its study, made ready for its workers, or an earlier finding.

    The study is named by use case, training set and settings: the same search is the same study.

    Raises:
        SpecError: A search space is empty, or the budget is smaller than the number of families.
        ServiceUnavailableError: PostgreSQL does not answer.
    """
    prints = fingerprints(use_case)
    settings = _hash([prints[kind] for kind in _SETTINGS])
    environment = _hash([prints[kind] for kind in _ENVIRONMENT])
    study = f"{use_case.name}/{training_set.content_hash[:12]}/{environment[:12]}"
    search = use_case.training.search
    finding = find_finding(study)
    if finding is None and search is not None:
        finding = young_finding(use_case, training_set, settings, days=search.every_days)
    planned = PlannedSearch(
        use_case=use_case.name,
        partition_key=training_set.partition_key,
        uri=study_uri(study),
        rows=training_set.rows,
        content_hash=settings,
        code_version=code_version(use_case.folder),
        training_set=training_set,
        study=study,
        workers=1 if finding is not None else _workers(use_case),
        trials=search.trials if search is not None else 1,
        minutes=search.minutes if search is not None else None,
        finding=None if finding is None else finding.finding_id,
        note="" if finding is None else _used_again(finding, study),
    )
    if finding is None:
        _require_budget(use_case)
        planned = planned.model_copy(update={"note": _open_study(use_case, planned)})
    log.info("%s: %s", use_case.name, planned.note)
    return planned


def _used_again(finding: Finding, study: str) -> str:
    what = f"{finding.plan.family}, {finding.plan.parameters}"
    if finding.study == study:
        return f"this search is finished; its finding of {finding.found_at:%Y-%m-%d %H:%M} UTC stands: {what}"
    return (
        f"no search: the finding of {finding.partition_key}, made with the same settings, is younger than "
        f"training.search.every_days and is used again: {what}"
    )


def _workers(use_case: UseCase) -> int:
    """Return how many workers share the study: no more than there are trials."""
    search = use_case.training.search
    if search is None:
        return 1
    return min(search.workers or cores_found(), search.trials or search.workers or cores_found())


def _require_budget(use_case: UseCase) -> None:
    search, families = use_case.training.search, searched_families(use_case)
    if search is None:
        return
    require_spaces(use_case)
    if search.trials is not None and search.trials < len(families):
        raise SpecError(
            f"training.search.trials is {search.trials}, but there are {len(families)} families",
            where=use_case.name,
            hint="each family's own values are a trial: raise trials, or leave families out",
        )


def _open_study(use_case: UseCase, planned: PlannedSearch) -> str:
    """Return what is going to happen, with a study that has its first trials."""
    import optuna

    with open_storage() as storage, db.connect() as connection:
        lock_partition(connection, "study", planned.study)
        study = optuna.create_study(
            storage=storage, study_name=planned.study, direction="minimize", load_if_exists=True
        )
        trials = study.get_trials(deepcopy=False)
        there = {trial.user_attrs.get(DEFAULT) for trial in trials}
        for trial in waiting_defaults(use_case):
            if trial.user_attrs[DEFAULT] not in there:
                study.add_trial(trial)
        if STARTED not in study.user_attrs:
            _describe(study, planned)
            # The database's clock: it is the same one for all workers. The last thing written.
            row = connection.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchone()
            study.set_user_attr(STARTED, row[0] if row else None)
    done = sum(trial.state.is_finished() for trial in trials)
    return f"study {planned.study}, {planned.workers} workers, {_budget(planned)}, {done} trials done"


def _describe(study: Study, planned: PlannedSearch) -> None:
    study.set_user_attr(PARTITION, planned.partition_key)
    study.set_user_attr(_AS_OF, planned.training_set.as_of.isoformat())
    study.set_user_attr(_TRAINING_SET, planned.training_set.uri)


def _budget(planned: PlannedSearch) -> str:
    trials = f"{planned.trials} trials" if planned.trials is not None else ""
    minutes = f"{planned.minutes:g} minutes" if planned.minutes is not None else ""
    return " or ".join(part for part in (trials, minutes) if part)


def _hash(values: list[str]) -> str:
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()
