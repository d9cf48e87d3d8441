"""The model of `use_case.yaml`."""

from __future__ import annotations

import datetime as dt
import difflib
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, PrivateAttr, model_validator

from mlforge.errors import PartitionKeyError, SpecError
from mlforge.refs import STATIC_KEY, PartitionRange
from mlforge.settings import get_settings
from mlforge.spec.base import Identifier, SpecModel
from mlforge.spec.contract import Contract
from mlforge.spec.datasets import Dataset
from mlforge.spec.gates import Gates
from mlforge.spec.prediction import Prediction
from mlforge.spec.retraining import Retraining, WalkForward
from mlforge.spec.schedule import Schedule
from mlforge.spec.task import RULES, Task, with_defaults
from mlforge.spec.training import Monitors, Rollout, Training


class FeatureView(SpecModel):
    """A feature view: `features/<name>.sql` computes it, `feature_repo/<use_case>.py` declares it to Feast.

    Attributes:
        static: Computed from static datasets only, once for all partitions.
        lookback_days: How many days before its partition the SQL reads; none for everything before. A correction
            of a day makes the partitions of the days after it stale, as far as they look back.
    """

    static: bool = False
    lookback_days: int | None = Field(default=None, ge=0)


class UseCase(SpecModel):
    """A use case, as its folder describes it.

    Attributes:
        on_demand: View → its features and their types: what a function of that name in `on_demand.py` computes from the
            request and stored features.
    """

    name: Identifier
    title: str
    description: str = ""
    owner: str
    tags: list[str] = Field(default_factory=list)
    task: Task = "classification"
    schedule: Schedule
    datasets: dict[Identifier, Dataset]
    features: dict[Identifier, FeatureView]
    feature_service: Identifier
    on_demand: dict[Identifier, dict[Identifier, Literal["integer", "number", "string"]]] = Field(default_factory=dict)
    prediction: Prediction
    training: Training
    gates: Gates = Gates()
    retraining: Retraining = Retraining()
    walk_forward: WalkForward = WalkForward()
    rollout: Rollout = Rollout()
    monitors: Monitors = Monitors()
    engine: Literal["local"] = "local"

    _folder: Path = PrivateAttr(default=Path())
    _contracts: dict[str, Contract] = PrivateAttr(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _fill_in_the_task(cls, document: Any) -> Any:
        return with_defaults(document)

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        known = {**self.prediction.request, **self.prediction.derived}
        for name in [self.prediction.moment, *self.prediction.key]:
            if name not in self.prediction.request:
                raise ValueError(f"prediction names {name!r}, which is no field of prediction.request")
        if self.prediction.request[self.prediction.moment].type != "timestamp":
            raise ValueError(f"prediction.moment {self.prediction.moment!r} must be a timestamp")
        absent = sorted(set(self.training.absent_views) - set(self.features))
        if absent:
            raise ValueError(f"training.absent_views names {absent[0]!r}, which is no view of features")
        both = set(self.prediction.request) & set(self.prediction.derived)
        if both:
            raise ValueError(f"prediction.derived repeats request fields: {sorted(both)}, of {sorted(known)}")
        return self

    @model_validator(mode="after")
    def _fits_its_task(self) -> Self:
        rules, gates = RULES[self.task], self.gates
        metrics = (*rules.metrics, *self.training.losses)
        if gates.metric not in metrics:
            raise ValueError(f"gates.metric {gates.metric!r} is no score of a {self.task}; there are {metrics}")
        strange = [name for name in gates.beat_baselines if name not in rules.baselines]
        if strange:
            raise ValueError(
                f"gates.beat_baselines: {strange[0]!r} is no baseline of a {self.task}; there are {rules.baselines}"
            )
        for task, others in RULES.items():
            wrong = [key for key in others.limits if task != self.task and getattr(gates, key) is not None]
            if wrong:
                raise ValueError(f"gates.{wrong[0]} is a limit of a {task}; this use case is a {self.task}")
        if self.task == "classification":
            self._require_classification()
        else:
            self._require_regression()
        return self

    def _require_classification(self) -> None:
        if len(self.prediction.labels) != 2:
            raise ValueError("prediction.labels are the names of two classes, the negative one first")
        if self.prediction.unit is not None:
            raise ValueError("prediction.unit is for a regression; a class has no unit")
        if self.training.last_value is not None:
            raise ValueError("training.last_value is for a regression; a class is no value to repeat")

    def _require_regression(self) -> None:
        if self.prediction.labels:
            raise ValueError("prediction.labels are for a classification; a regression answers with a value")
        if "non_inferiority_margin" not in self.gates.model_fields_set:
            raise ValueError("gates.non_inferiority_margin is missing: a regression's is in the unit of its outcome")
        if "last_value" in self.gates.beat_baselines and self.training.last_value is None:
            raise ValueError("gates.beat_baselines names 'last_value', but training.last_value names no column")

    @property
    def folder(self) -> Path:
        """The use case's folder."""
        return self._folder

    def dataset(self, name: str) -> Dataset:
        """Return a dataset's description.

        Raises:
            SpecError: There is none of that name.
        """
        if name not in self.datasets:
            near = difflib.get_close_matches(name, self.datasets, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(self.datasets)}"
            raise SpecError(f"there is no dataset {name!r}", where=self.name, hint=hint)
        return self.datasets[name]

    def contract(self, dataset: str) -> Contract:
        """Return a dataset's contract."""
        return self._contracts[dataset]

    def table(self, dataset: str) -> str:
        """Return the name of a dataset's table in the schema `warehouse`."""
        return f"{self.name}__{dataset}"

    def view_table(self, view: str) -> str:
        """Return the name of a feature view's table in the schema `features`."""
        return f"{self.name}__{view}"

    def sql(self, relative: str) -> str:
        """Return the text of an SQL file of the folder."""
        return (self._folder / relative).read_text(encoding="utf-8")

    def partitions(self, key: str) -> PartitionRange:
        """Return the days that a key names, all within the schedule.

        Raises:
            PartitionKeyError: The key is no day or lies outside the schedule.
        """
        days = PartitionRange.parse(key, step_days=self.schedule.step_days)
        self._require_aligned(days)
        end = self.last_day or dt.datetime.now(dt.UTC).date()
        if days.first < self.schedule.start or days.last > end:
            raise PartitionKeyError(
                f"the partition {key} is outside {self.schedule.start}..{end}, the days that there are",
                where=self.name,
                hint="choose a day within, or correct `schedule` in use_case.yaml",
            )
        return days

    @property
    def replays(self) -> bool:
        """Whether its history is played again after `schedule.end`, so that every night has data.

        It is when this installation has MLFORGE_REPLAY=true and every partitioned dataset declares `replay`.
        """
        sources = [dataset.source for dataset in self.datasets.values() if dataset.partitioned]
        return get_settings().replay and bool(sources) and all(source.replay is not None for source in sources)

    @property
    def last_day(self) -> dt.date | None:
        """First day of the last partition; none when it goes on, as it does when its history is played again."""
        return None if self.replays else self.schedule.end

    def recorded_and_replayed(self, days: PartitionRange) -> tuple[PartitionRange | None, PartitionRange | None]:
        """Return the partitions that the sources have, and those after `schedule.end` that are played again."""
        end, step = self.schedule.end, dt.timedelta(days=days.step_days)
        if end is None or not self.replays or days.last <= end:
            return days, None
        replayed = PartitionRange(max(days.first, end + step), days.last, days.step_days)
        return (PartitionRange(days.first, end, days.step_days) if days.first <= end else None), replayed

    def partition_keys(self, key: str) -> list[str]:
        """Return the key of each partition that a ref's key names; `static` names itself."""
        return [STATIC_KEY] if key == STATIC_KEY else self.partitions(key).keys

    def _require_aligned(self, days: PartitionRange) -> None:
        for day in (days.first, days.last):
            off = (day - self.schedule.start).days % self.schedule.step_days
            if off:
                raise PartitionKeyError(
                    f"no partition begins on {day}, a {day:%A}; weeks begin on {self.schedule.start:%A}s",
                    where=self.name,
                    hint=f"name the week by its first day, {day - dt.timedelta(days=off)}",
                )

    def trailing_partitions(self, days: PartitionRange, window_days: int) -> PartitionRange:
        """Return the partitions that end with the last one of `days` and reach back at least so many days."""
        steps = -(-window_days // days.step_days) - 1
        first = days.last - dt.timedelta(days=steps * days.step_days)
        return PartitionRange(max(first, self.schedule.start), days.last, days.step_days)

    def dataset_key(self, dataset: str, days: PartitionRange) -> str:
        """Return the partition key of a dataset: the days, or `static` for one that comes whole."""
        return days.key if self.datasets[dataset].partitioned else STATIC_KEY
