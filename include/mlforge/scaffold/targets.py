"""What is predicted, which task that is, and which columns tell it before anybody could know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from mlforge.errors import SpecError
from mlforge.scaffold.columns import Column
from mlforge.scaffold.names import nearest_identifier

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mlforge.spec.task import Task

SUSPICIOUS = 0.95
STRONG = 0.5
_POSITIVE = {"1", "true", "t", "yes", "y", "late", "churned", "bad", "fraud", "positive", "default", "failed", "lost"}
_OUTCOME_WORDS = {"target", "label", "outcome", "y", "churn", "churned", "late", "fraud", "default", "defaulted"}
_MOST_BINS = 200
_ROWS_PER_BIN = 25


@dataclass(frozen=True)
class Target:
    """What is predicted.

    Attributes:
        positive: The value of the positive class; None in a regression.
        labels: Name of the negative and of the positive class; empty in a regression.
        why: Why it is this task.
    """

    column: Column
    task: Task
    positive: Any
    labels: tuple[str, ...]
    why: str

    @cached_property
    def outcomes(self) -> NDArray[np.float64]:
        """1.0 and 0.0, or the numbers themselves; NaN where there is none. Shape (n_rows,)."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        values = self.column.values
        if self.task == "classification":
            values = pc.equal(values, pa.scalar(self.positive, values.type))
        numbers: NDArray[np.float64] = np.asarray(values.cast(pa.float64()).to_numpy(), dtype=np.float64)
        return numbers


def candidates(columns: Mapping[str, Column], time: Column | None) -> list[Column]:
    """Return the columns that may be predicted, the likeliest first."""
    usable = [c for c in columns.values() if c is not time and not c.constant and (c.numeric or c.distinct == 2)]
    return sorted(
        usable, key=lambda c: (not set(nearest_identifier(c.name).split("_")) & _OUTCOME_WORDS, c.distinct > 2)
    )


def choose_target(column: Column, where: str, *, task: Task | None = None, positive: str | None = None) -> Target:
    """Return what is predicted by a column: two values are classes, numbers a regression.

    Args:
        column: The column.
        where: The source, for errors.
        task: What it shall be; none to see it from the values.
        positive: The value of the positive class, in writing.

    Raises:
        SpecError: It is constant, or neither two values nor numbers.
    """
    if column.constant:
        raise SpecError(
            f"the target {column.name!r} is constant: {column.usual!r} in every row that has one",
            where=where,
            hint="choose another --target, or give rows with both outcomes",
        )
    if task is None:
        task = "classification" if column.distinct == 2 else "regression"
    if task == "classification" and column.distinct != 2:
        raise SpecError(
            f"the target {column.name!r} has {column.distinct} values; a classification has two",
            where=where,
            evidence=column.values.unique().to_pylist()[:6],
            hint="make a column of two values of it in the source, or leave --task out",
        )
    if task == "regression" and column.kind not in {"integer", "number"}:
        raise SpecError(
            f"the target {column.name!r} is {column.kind} with {column.distinct} values: neither two nor numbers",
            where=where,
            evidence=column.values.unique().to_pylist()[:6],
            hint="make a column of two values of it in the source, or choose another --target",
        )
    if task == "regression":
        return Target(column, task, None, (), f"{column.distinct:,} different numbers")
    chosen = _positive(column, where, positive)
    negative = next(value for value in column.values.drop_null().unique().to_pylist() if value != chosen)
    return Target(column, task, chosen, _labels(column, negative, chosen), f"two values, {negative!r} and {chosen!r}")


def _positive(column: Column, where: str, written: str | None) -> Any:
    values = column.values.drop_null().unique().to_pylist()
    if written is not None:
        found = [value for value in values if str(value).lower() == written.lower()]
        if not found:
            raise SpecError(
                f"the target {column.name!r} has no value {written!r}", where=where, evidence=values,
                hint="correct --positive",
            )  # fmt: skip
        return found[0]
    telling = [value for value in values if str(value).lower() in _POSITIVE]
    if len(telling) == 1:
        return telling[0]
    if column.kind != "string":
        return max(values)
    return next(value for value in sorted(values) if value != column.usual)


def _labels(column: Column, negative: Any, positive: Any) -> tuple[str, str]:
    if column.kind == "string":
        return str(negative), str(positive)
    return f"not_{column.alias}", column.alias


def told_share(column: Column, target: Target) -> float:
    """Return how much of the target a column tells by itself, from 0 to 1: gaps and thresholds included.

    Rows are put into bins of the column; for classes it is the share of the base rate's mistakes that the bins avoid,
    for numbers the share of the variance that lies between bins.
    """
    import numpy as np

    outcomes = target.outcomes
    known = np.isfinite(outcomes)
    outcomes, bins = outcomes[known], _bins(column)[known]
    if len(outcomes) < 2 * _ROWS_PER_BIN:
        return 0.0
    count = np.bincount(bins)
    total = np.bincount(bins, weights=outcomes)
    filled = count > 0
    means = total[filled] / count[filled]
    if target.task == "regression":
        between = float((count[filled] * (means - outcomes.mean()) ** 2).sum())
        return between / float(((outcomes - outcomes.mean()) ** 2).sum())
    mistakes = float((count[filled] * np.minimum(means, 1 - means)).sum())
    base = min(outcomes.mean(), 1 - outcomes.mean()) * len(outcomes)
    return 1 - mistakes / float(base)


def _bins(column: Column) -> NDArray[np.int64]:
    """Return the bin of each row; gaps have one of their own."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    rows = len(column.values)
    most = max(2, min(_MOST_BINS, rows // _ROWS_PER_BIN))
    if column.kind == "string" or column.distinct <= most:
        encoded = column.values.combine_chunks().dictionary_encode()
        codes = pc.fill_null(encoded.indices.cast(pa.int64()), -1).to_numpy(zero_copy_only=False)
        # The usual values keep a bin each; what is rare tells little about other rows.
        counts = np.bincount(codes + 1)
        order = np.argsort(-counts, kind="stable")
        place = np.empty(len(order), dtype=np.int64)
        place[order] = np.arange(len(order))
        place[counts < _ROWS_PER_BIN // 2] = most
        chosen: NDArray[np.int64] = np.minimum(place[codes + 1], most)
        return chosen
    values = column.values.cast(pa.int64()) if column.temporal and column.kind == "timestamp" else column.values
    values = values.cast(pa.int32()).cast(pa.int64()) if column.kind == "date" else values
    numbers = values.cast(pa.float64()).to_numpy()
    edges = np.unique(np.nanquantile(numbers, np.linspace(0, 1, most + 1)[1:-1]))
    return np.where(np.isnan(numbers), most + 1, np.searchsorted(edges, np.nan_to_num(numbers), side="left"))


def later_share(column: Column, time: Column) -> float:
    """Return the share of rows in which a time lies after the row's own moment."""
    import pyarrow as pa
    import pyarrow.compute as pc

    utc = pa.timestamp("us", tz="UTC")
    later = pc.greater(column.values.cast(utc), time.values.cast(utc))
    found = pc.mean(later.drop_null()).as_py()
    return float(found or 0.0)
