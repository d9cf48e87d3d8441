"""A use case's studies, as people look at them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mlforge.training.search.findings import Finding, find_finding
from mlforge.training.search.planning import PARTITION, STARTED
from mlforge.training.search.storage import load_study, open_storage
from mlforge.training.search.summaries import TrialSummary, summarise

if TYPE_CHECKING:
    from optuna.storages import RDBStorage
    from optuna.study import Study


# Fewer trials say nothing about which parameter matters.
_TELLING = 8


@dataclass(frozen=True)
class StudyOverview:
    """A study.

    Attributes:
        name: Its name.
        partition_key: Of its training set.
        started: When it was planned, UTC; none for one whose planning was interrupted.
        trials: All of them.
        finding: What was chosen; none as long as nothing is.
        importance: Parameter of the best trial → its share in how the losses differ, largest first; empty where too
            few trials say anything about it.
    """

    name: str
    partition_key: str
    started: datetime | None
    trials: tuple[TrialSummary, ...] = field(repr=False)
    finding: Finding | None
    importance: dict[str, float]

    @property
    def best(self) -> TrialSummary | None:
        """The complete trial with the smallest loss."""
        complete = [trial for trial in self.trials if trial.state == "complete" and trial.value is not None]
        return min(complete, key=lambda trial: (trial.value, trial.number), default=None)


def read_studies(use_case: str, *, limit: int = 5) -> list[StudyOverview]:
    """Return the newest studies of a use case, newest first.

    Args:
        use_case: Its name.
        limit: No more than that.

    Raises:
        ServiceUnavailableError: PostgreSQL does not answer.
    """
    with open_storage() as storage:
        newest = sorted(_names(storage, use_case), key=lambda each: -each[0])[:limit]
        studies = [_overview(load_study(storage, name)) for _, name in newest]
    return studies


def _names(storage: RDBStorage, use_case: str) -> Sequence[tuple[int, str]]:
    import optuna

    names = optuna.get_all_study_names(storage)
    return [(storage.get_study_id_from_name(name), name) for name in names if name.startswith(f"{use_case}/")]


def _overview(study: Study) -> StudyOverview:
    started = study.user_attrs.get(STARTED)
    trials = summarise(study.get_trials(deepcopy=False))
    return StudyOverview(
        name=study.study_name,
        partition_key=study.user_attrs.get(PARTITION, ""),
        started=None if started is None else datetime.fromtimestamp(started, UTC),
        trials=tuple(trials),
        finding=find_finding(study.study_name),
        importance=_importance(study),
    )


def _importance(study: Study) -> dict[str, float]:
    import optuna
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    complete = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
    if not complete:
        return {}
    # Those of the best trial: other families have other parameters.
    names = list(min(complete, key=lambda trial: (trial.value, trial.number)).params)
    told = [trial for trial in complete if set(names) <= set(trial.params)]
    if not names or len(told) < max(_TELLING, len(names)):
        return {}
    try:
        found = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator(), params=names)
    except (ValueError, RuntimeError):
        return {}
    return {name: float(value) for name, value in found.items()}
