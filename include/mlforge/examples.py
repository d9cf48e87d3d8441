"""Labelled examples of a training set, split by time only: the same rows for training, gate and monitoring."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from mlforge.errors import TrainingError
from mlforge.refs import TrainingSet
from mlforge.spec import UseCase
from mlforge.spec.module import load_model_module
from mlforge.spec.task import Task
from mlforge.storage import read_bytes

if TYPE_CHECKING:
    import pyarrow as pa

Part = Literal["train", "validation", "test"]
Values = Sequence[Any] | NDArray[Any]

_DAY = np.timedelta64(1, "D")


@dataclass(frozen=True)
class Examples:
    """Examples in the order of their time, with their labels.

    Attributes:
        table: All columns of the training set.
        labels: 0.0 or 1.0 of a classification, any finite number of a regression, shape (n_rows,).
        times: Event timestamps, UTC in microseconds, shape (n_rows,).
    """

    table: pa.Table
    labels: NDArray[np.float64]
    times: NDArray[np.datetime64]

    def __len__(self) -> int:
        return len(self.labels)

    def rows(self, chosen: NDArray[np.bool_]) -> Examples:
        """Return the chosen rows, in the same order."""
        import pyarrow as pa

        return Examples(self.table.filter(pa.array(chosen)), self.labels[chosen], self.times[chosen])

    def slice(self, chosen: slice) -> Examples:
        """Return a run of rows; `chosen` has both ends."""
        return Examples(
            self.table.slice(chosen.start, chosen.stop - chosen.start), self.labels[chosen], self.times[chosen]
        )

    def followed_by(self, later: Examples) -> Examples:
        """Return these rows, then later ones."""
        import pyarrow as pa

        return Examples(
            pa.concat_tables([self.table, later.table]),
            np.concatenate([self.labels, later.labels]),
            np.concatenate([self.times, later.times]),
        )

    def without_views(self, shares: Mapping[str, float]) -> Examples:
        """Return the examples with whole feature views taken away from some rows, the same rows every time.

        Args:
            shares: View → share of the rows that lose all its values.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        table, random = self.table, np.random.default_rng(len(self))
        for view, share in sorted(shares.items()):
            lost = pa.array(random.random(len(self)) < share)
            for index, name in enumerate(table.column_names):
                if name.startswith(f"{view}__"):
                    kept = pc.if_else(lost, pa.scalar(None, table.schema.field(name).type), table.column(name))
                    table = table.set_column(index, name, kept)
        return Examples(table, self.labels, self.times)

    def columns(self, names: Sequence[str]) -> Mapping[str, Values]:
        """Return columns as scoring takes them: text as lists, numbers as arrays with NaN for null.

        Raises:
            TrainingError: The training set lacks one.
        """
        missing = [name for name in names if name not in self.table.column_names]
        if missing:
            raise TrainingError(
                "the training set lacks columns that the model takes", evidence=missing, hint="assemble it again"
            )
        return {name: column_values(self.table.column(name)) for name in names}


def column_values(column: pa.ChunkedArray) -> Values:
    """Return a column's values: text as a list with None, numbers and booleans as float32 with NaN for null."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if is_text(column.type):
        return list(column.to_pylist())
    if pa.types.is_decimal(column.type):
        column = pc.cast(column, pa.float64())
    numbers: NDArray[np.float32] = pc.cast(column, pa.float32(), safe=False).to_numpy()
    return numbers


def is_text(kind: pa.DataType) -> bool:
    """Return whether a column's values are text, plain or dictionary-encoded."""
    import pyarrow as pa

    inner = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(inner) or pa.types.is_large_string(inner) or pa.types.is_string_view(inner))


def load_examples(use_case: UseCase, training_set: TrainingSet) -> Examples:
    """Return a training set's examples, oldest first, labelled by the use case's `model.label`.

    Raises:
        TerminalError: The file is gone, or is not what was stored.
        TrainingError: A label is not what the task asks for, or a column that the label needs is missing.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    where = f"{use_case.name}, training set {training_set.partition_key}"
    content = read_bytes(training_set.uri, content_hash=training_set.content_hash)
    return label_examples(use_case, pq.read_table(pa.BufferReader(content)), where)


def label_examples(use_case: UseCase, table: pa.Table, where: str) -> Examples:
    """Return the rows of a training set as examples, oldest first, labelled by the use case's `model.label`.

    Args:
        use_case: Whose examples.
        table: All columns of a training set.
        where: What an error says about the place.

    Raises:
        TrainingError: A label is not what the task asks for, or a column that the label needs is missing.
    """
    import pyarrow as pa

    missing = [name for name in ["event_timestamp", *use_case.training.outcome] if name not in table.column_names]
    if missing:
        raise TrainingError("the training set lacks columns", where=where, evidence=missing, hint="assemble it again")
    outcome = {name: table.column(name).to_pylist() for name in use_case.training.outcome}
    times = table.column("event_timestamp").cast(pa.timestamp("us", tz="UTC")).to_numpy().astype("datetime64[us]")
    order = np.argsort(times, kind="stable")
    labels = _labels(use_case, outcome, where)
    return Examples(table.take(pa.array(order)), labels[order], times[order])


def _is_class(labels: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.isin(labels, (0.0, 1.0))


# Task → which labels fit, and what is said of the others.
_LABELS: Mapping[Task, tuple[Callable[[NDArray[np.float64]], NDArray[np.bool_]], str]] = {
    "classification": (_is_class, "labels are neither 0 nor 1"),
    "regression": (np.isfinite, "labels are no finite numbers"),
}


def _labels(use_case: UseCase, outcome: dict[str, list[Any]], where: str) -> NDArray[np.float64]:
    unknown = [name for name, values in outcome.items() if None in values]
    if unknown:
        raise TrainingError(
            "outcomes are missing", where=where, evidence=unknown, hint="leave such rows out in the spine's SQL"
        )
    labels = np.asarray(load_model_module(use_case).label(outcome), dtype=np.float64)
    rows = len(next(iter(outcome.values()), []))
    if labels.shape != (rows,):
        raise TrainingError(
            f"model.label returned {labels.shape} for {rows} rows", where=where, hint="return one number per row"
        )
    fits, what = _LABELS[use_case.task]
    wrong = np.unique(labels[~fits(labels)])
    if len(wrong):
        raise TrainingError(what, where=where, evidence=wrong.tolist(), hint="correct model.label or the data")
    return labels


def split_by_time(use_case: UseCase, examples: Examples) -> dict[Part, Examples]:
    """Return train, validation and test, each wholly later than the one before.

    Test is the last `test_days` UTC days up to that of the newest example, validation the `validation_days` before,
    train all that is older. Train and validation lose the views of `training.absent_views` in some rows; test is whole.

    Raises:
        TrainingError: There are no examples, or a part has none.
    """
    if len(examples) == 0:
        raise TrainingError("the training set is empty", where=use_case.name, hint="publish data first")
    day_after = examples.times[-1].astype("datetime64[D]") + _DAY
    test_start = day_after - use_case.training.test_days * _DAY
    validation_start = test_start - use_case.training.validation_days * _DAY
    test = examples.times >= test_start
    train = examples.times < validation_start
    parts: dict[Part, Examples] = {
        "train": examples.rows(train).without_views(use_case.training.absent_views),
        "validation": examples.rows(~train & ~test).without_views(use_case.training.absent_views),
        "test": examples.rows(test),
    }
    empty = [name for name, part in parts.items() if len(part) == 0]
    if empty:
        raise TrainingError(
            f"no example falls into {empty[0]}",
            where=use_case.name,
            evidence=[f"examples from {examples.times[0]} to {examples.times[-1]} UTC"],
            hint="load more days, or lower training.validation_days and training.test_days",
        )
    return parts
