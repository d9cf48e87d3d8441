"""A use case as it was inferred from data, before it is written: every choice with its reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mlforge.scaffold.columns import Column
from mlforge.scaffold.reading import Sample
from mlforge.scaffold.targets import Target
from mlforge.scaffold.times import Partitions, Period, Windows
from mlforge.spec.task import Task


@dataclass(frozen=True)
class Wishes:
    """What a person said; what is None or empty is inferred.

    Attributes:
        entities: Each a column, or columns joined by `+`.
        after: Columns that are known afterwards only.
        known_after: Days after the event from which on the whole row is known.
        taken_views: Names of feature views that other use cases have.
    """

    target: str | None = None
    time: str | None = None
    key: Sequence[str] = ()
    entities: Sequence[str] = ()
    after: Sequence[str] = ()
    task: Task | None = None
    positive: str | None = None
    period: Period | None = None
    dataset: str | None = None
    owner: str | None = None
    timezone: str = "UTC"
    known_after: int | None = None
    taken_views: Sequence[str] = ()


@dataclass(frozen=True)
class View:
    """A feature view: trailing statistics per value of an entity.

    Attributes:
        entity: Columns of the source, or none: then it is the weekday of the row's moment.
    """

    name: str
    entity: tuple[Column, ...]


@dataclass(frozen=True)
class Draft:
    """A use case that can be written.

    Attributes:
        asked: Columns that a caller sends, the time among them.
        features: Those of them that the model sees as they are.
        later: Columns that are known afterwards only, or look like it, with the reason.
        left_out: Columns that nobody is asked for, with the reason.
        history: Columns whose trailing means are features: the target, and those that tell most of it.
        told: How much of the target each column tells by itself, from 0 to 1.
        windows: Days of the two trailing windows.
        known_after: Days after the event until a row is known; None for the end of its partition.
        open_ended: Whether more partitions are to come.
        other_times: Columns that could be the time too.
        wishes: What a person said.
    """

    name: str
    dataset: str
    owner: str
    timezone: str
    sample: Sample
    columns: Mapping[str, Column]
    time: Column
    partitions: Partitions
    key: tuple[Column, ...]
    target: Target
    views: tuple[View, ...]
    asked: tuple[Column, ...]
    features: frozenset[str]
    later: Mapping[str, str]
    left_out: Mapping[str, str]
    history: tuple[Column, ...]
    told: Mapping[str, float]
    training: Windows
    known_after: int | None
    open_ended: bool
    other_times: tuple[str, ...]
    wishes: Wishes

    @property
    def windows(self) -> tuple[int, int]:
        """Days of the short and the long trailing window."""
        return (28, 91) if self.partitions.period == "week" else (7, 28)

    @property
    def has_hours(self) -> bool:
        """Whether rows have a time of day."""
        return self.time.kind == "timestamp" and any(
            moment.hour or moment.minute for moment in self.time.values.slice(0, 1000).to_pylist()
        )

    @property
    def earlier_times(self) -> list[Column]:
        """Other times that a caller sends: the model sees how long ago they were."""
        return [column for column in self.asked if column.temporal and column is not self.time]
