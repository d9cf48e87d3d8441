"""Features that the request and stored features give together: computed per request, the same function offline.

Feast keeps a copy of each function, and of nothing around it: what it needs stands inside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def flight_context(inputs: Mapping[str, Sequence[Any]]) -> dict[str, list[float | None]]:
    """Return the aircraft's age in years, and how late the carrier and the hour are beside the route.

    Args:
        inputs: Columns of equal length by name, None where a value is unknown.
    """

    def less(left: Sequence[float | None], right: Sequence[float | None]) -> list[float | None]:
        return [None if a is None or b is None else a - b for a, b in zip(left, right, strict=True)]

    route = inputs["route_delays__late_share_28d"]
    return {
        "plane_age": [
            None if year is None else float(moment.year - year)
            for moment, year in zip(inputs["scheduled_departure"], inputs["planes__built_year"], strict=True)
        ],
        "carrier_over_route": less(inputs["carrier_delays__late_share_28d"], route),
        "hour_over_route": less(inputs["origin_hour_delays__late_share_28d"], route),
    }
