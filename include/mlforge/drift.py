"""Drift of columns: which are compared, how two samples of one are made comparable, and how far they are apart."""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from mlforge.errors import MonitoringError
from mlforge.spec import UseCase

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

Kind = Literal["number", "category"]

MISSING = "missing: the training set has the column, the examples have not"
EMPTY = "empty: no example has a value"
RETYPED = "retyped: numbers in one, text in the other"
GONE = frozenset({MISSING, EMPTY, RETYPED})  # a person has to look at these, whatever the share of drifted columns
NO_REFERENCE = "unknown: the training set has no value to compare with"

# PSI of two equal distributions is about bins · (1/n + 1/m): with 15 bins and fewer rows it reaches usual thresholds.
MINIMUM_ROWS = 100
MAXIMUM_ROWS = 20_000
RARE_SHARE = 0.01
_SMALLEST_SHARE = 1e-4  # for a share of zero; the same as Evidently's
_FEW_VALUES = 20  # up to which numbers are counted one by one
_OTHER = "(other)"
# Evidently writes values into the script of its page, where `</script>` would end it.
_UNSAFE = str.maketrans({"<": "‹", ">": "›", "&": "+"})


def kind_of(arrow_type: pa.DataType) -> Kind | None:
    """Return how a column is compared; None for one that is not, such as a timestamp."""
    import pyarrow as pa

    if pa.types.is_integer(arrow_type) or pa.types.is_floating(arrow_type) or pa.types.is_decimal(arrow_type):
        return "number"
    value_type = arrow_type.value_type if pa.types.is_dictionary(arrow_type) else arrow_type
    if pa.types.is_string(value_type) or pa.types.is_large_string(value_type) or pa.types.is_boolean(value_type):
        return "category"
    return None


def compared_columns(use_case: UseCase, reference: pa.Schema) -> list[str]:
    """Return the columns to compare: `monitors.drift_columns`, or what the model takes except the derived ones.

    Derived columns tell the calendar: a window always differs there from months of training.

    Raises:
        MonitoringError: `monitors.drift_columns` names a column that the training set lacks, or none is left.
    """
    wanted = use_case.monitors.drift_columns
    for name in wanted:
        if name not in reference.names:
            near = difflib.get_close_matches(name, reference.names, n=1)
            raise MonitoringError(
                f"`monitors.drift_columns` names {name!r}, which the champion's training set does not have",
                where=use_case.name,
                hint=f"did you mean {near[0]!r}?" if near else f"it has {', '.join(reference.names)}",
            )
    columns = list(wanted) or [field.name for field in reference if _is_model_input(use_case, field)]
    if not columns:
        raise MonitoringError(
            "the champion's training set has no column to compare", where=use_case.name, evidence=reference.names
        )
    return columns


def _is_model_input(use_case: UseCase, field: pa.Field) -> bool:
    if field.name in use_case.training.drop_features:
        return False
    request = use_case.prediction.request.get(field.name)
    if request is not None:
        return request.feature and kind_of(field.type) is not None
    view, separator, _ = field.name.partition("__")
    return bool(separator) and view in {*use_case.features, *use_case.on_demand}


def comparable_numbers(reference: pd.Series[float], current: pd.Series[float]) -> tuple[pd.Series, pd.Series]:
    """Return both samples, clipped so that a few absurd values cannot hide a shift.

    PSI bins the range of both together: one value of 1e9 would put all others in one bin. What lies further from the
    reference's central 99 % than that interval is wide counts as lying at its end.
    """
    low, high = float(reference.quantile(0.005)), float(reference.quantile(0.995))
    width = high - low
    if not width > 0:
        return reference, current
    return reference.clip(low - width, high + width), current.clip(low - width, high + width)


def comparable_categories(reference: pd.Series[str], current: pd.Series[str]) -> tuple[pd.Series, pd.Series]:
    """Return both samples with categories that are rare in the reference, or unknown to it, as one."""
    shares = reference.value_counts(normalize=True)
    common = set(shares[shares >= RARE_SHARE].index)

    def grouped(values: pd.Series[str]) -> pd.Series[str]:
        kept = values.where(values.isin(common) | values.isna(), _OTHER)
        return kept.map({value: value.translate(_UNSAFE) for value in kept.dropna().unique()})

    return grouped(reference), grouped(current)


def sample_rows(table: pa.Table) -> pa.Table:
    """Return at most MAXIMUM_ROWS rows, the same ones for the same number of rows."""
    import numpy as np

    if table.num_rows <= MAXIMUM_ROWS:
        return table
    chosen = np.random.default_rng(0).choice(table.num_rows, MAXIMUM_ROWS, replace=False)
    return table.take(np.sort(chosen))


def column_series(values: pa.ChunkedArray, kind: Kind) -> pd.Series[Any]:
    """Return a column as it is compared: numbers as floats, all else as text."""
    import pyarrow as pa

    series: pd.Series[Any] = values.cast(pa.float64() if kind == "number" else pa.string()).to_pandas()
    return series


def drift_scores(reference: pa.Table, current: pa.Table, columns: Sequence[str]) -> dict[str, float]:
    """Return how far each column's values, or its share of nulls, are from the reference: the larger PSI of the two.

    A column whose kind is not compared, or that has no value in the reference, is left out.

    Args:
        reference: At least MINIMUM_ROWS rows for a statement that means something.
        current: Likewise, with the same columns.
        columns: Which to compare.
    """
    reference, current = sample_rows(reference), sample_rows(current)
    scores = {}
    for name in columns:
        kind = kind_of(reference.schema.field(name).type)
        if kind is None:
            continue
        before, after = (column_series(table.column(name), kind) for table in (reference, current))
        if before.isna().all():
            continue
        nulls = psi_of_shares(float(before.isna().mean()), float(after.isna().mean()))
        comparable = comparable_numbers if kind == "number" else comparable_categories
        values = 0.0 if after.isna().all() else population_stability(*comparable(before, after), kind)
        scores[name] = max(nulls, values)
    return scores


def population_stability(reference: pd.Series[Any], current: pd.Series[Any], kind: Kind) -> float:
    """Return the population stability index of two samples; nulls are not looked at.

    Bins and the share that stands for none are Evidently's, so that the gate and the monitors say the same.

    Source: Evidently 0.7, legacy/calculations/stattests/psi.py.
    """
    import numpy as np
    import pandas as pd

    before, after = reference.dropna(), current.dropna()
    if kind == "number" and before.nunique() > _FEW_VALUES:
        edges = np.histogram_bin_edges(np.concatenate([before, after]), bins="sturges")
        counts = [np.histogram(values, edges)[0] for values in (before, after)]
    else:
        both = pd.DataFrame({"before": before.value_counts(), "after": after.value_counts()}).fillna(0)
        counts = [both["before"].to_numpy(), both["after"].to_numpy()]
    old, new = (_without_zeros(count / count.sum()) for count in counts)
    return float(((old - new) * np.log(old / new)).sum())


def _without_zeros(shares: Any) -> Any:
    import numpy as np

    smallest = shares[shares > 0].min()
    return np.where(shares > 0, shares, smallest / 10**6 if smallest <= _SMALLEST_SHARE else _SMALLEST_SHARE)


def psi_of_shares(before: float, after: float) -> float:
    """Return the PSI of a yes-or-no quantity from its shares of yes."""
    total = 0.0
    for old, new in ((before, after), (1 - before, 1 - after)):
        old, new = max(old, _SMALLEST_SHARE), max(new, _SMALLEST_SHARE)
        total += (old - new) * math.log(old / new)
    return total
