"""Which columns are compared, and how two samples of one are made comparable."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Literal

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

RARE_SHARE = 0.01
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
        return kept.map(lambda value: value.translate(_UNSAFE), na_action="ignore")

    return grouped(reference), grouped(current)
