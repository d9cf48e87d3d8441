"""What a feature partition is computed from: the publications that its view's SQL may read."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable
from typing import Any, LiteralString

import psycopg

from mlforge.refs import STATIC_KEY
from mlforge.spec import UseCase

# Published again with the same rows, a partition is no other input; so contents count, not versions.
_INPUTS: LiteralString = """
WITH newest AS (
    SELECT DISTINCT ON (dataset, partition_key) dataset, partition_key, content_hash
    FROM ledger.publications
    WHERE use_case = %(use_case)s AND dataset = ANY(%(datasets)s)
    ORDER BY dataset, partition_key, version DESC
)
SELECT needed.key, md5(string_agg(
    concat_ws(' ', n.dataset, n.partition_key, n.content_hash), ',' ORDER BY n.dataset, n.partition_key))
FROM unnest(%(keys)s::text[], %(firsts)s::text[]) AS needed (key, first)
JOIN newest AS n
  ON n.partition_key = %(static)s
  OR (needed.key <> %(static)s AND n.partition_key BETWEEN needed.first AND needed.key)
GROUP BY needed.key
"""


def datasets_read(use_case: UseCase, view: str) -> list[str]:
    """Return the datasets whose tables a view's SQL names; all of them if it names none, or another view's table."""
    text = use_case.sql(f"features/{view}.sql")
    named = [name for name in use_case.datasets if re.search(rf"\b{use_case.table(name)}\b", text)]
    reads_views = re.search(rf"\bfeatures\W+{use_case.name}__", text)
    return named if named and not reads_views else list(use_case.datasets)


def first_read(use_case: UseCase, view: str, key: str) -> str:
    """Return the key of the oldest partition that a view reads for a partition; an empty text for all before it."""
    lookback = use_case.features[view].lookback_days
    if lookback is None or key == STATIC_KEY:
        return ""
    # A partition that began up to a step before the window still has days in it.
    first = dt.date.fromisoformat(key) - dt.timedelta(days=lookback + use_case.schedule.step_days - 1)
    return str(first)


def declared_window(use_case: UseCase, view: str) -> str:
    """Return how far a view says that it looks back, as it stands before each hash of inputs."""
    lookback = use_case.features[view].lookback_days
    return f"{'all' if lookback is None else lookback}:"


def read_inputs(
    connection: psycopg.Connection[Any], use_case: UseCase, view: str, keys: Iterable[str]
) -> dict[str, str]:
    """Return, for each key of a view, what it is computed from as of now: the declared window and a hash.

    The hash is over the contents of the partitions from `lookback_days` before the key up to the key, and of the
    static datasets; partitions outside of it change nothing.
    """
    wanted = list(keys)
    window = declared_window(use_case, view)
    bound = {
        "use_case": use_case.name,
        "datasets": datasets_read(use_case, view),
        "keys": wanted,
        "firsts": [first_read(use_case, view, key) for key in wanted],
        "static": STATIC_KEY,
    }
    return {key: window + digest for key, digest in connection.execute(_INPUTS, bound).fetchall()}
