"""What a training as of a partition would be made of now: a hash per dataset and per kind of code and settings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import psycopg

from mlforge.fingerprints import fingerprints
from mlforge.refs import STATIC_KEY, PartitionRange
from mlforge.spec import UseCase

_PUBLISHED = """
SELECT dataset, string_agg(partition_key || ' ' || content_hash, ' ' ORDER BY partition_key)
FROM (
    SELECT DISTINCT ON (dataset, partition_key) dataset, partition_key, content_hash
    FROM ledger.publications
    WHERE use_case = %(use_case)s
        AND (partition_key = %(static)s OR partition_key BETWEEN %(first)s AND %(last)s)
    ORDER BY dataset, partition_key, version DESC
) AS newest
GROUP BY dataset
"""


def training_inputs(connection: psycopg.Connection[Any], use_case: UseCase, days: PartitionRange) -> dict[str, str]:
    """Return kind of input → its hash, for a training as of the end of some days.

    `as of` is the newest partition, `dataset <name>` what a dataset has published in the training window and in the
    days before it that features look back at; the others are those of `mlforge.fingerprints`.
    """
    values = {
        "use_case": use_case.name,
        "static": STATIC_KEY,
        "first": _first_day(use_case, days),
        "last": days.last_key,
    }
    published = connection.execute(_PUBLISHED, values).fetchall()
    datasets = {f"dataset {name}": _hash(contents) for name, contents in published}
    return {"as of": days.last_key, **datasets, **fingerprints(use_case)}


def inputs_hash(inputs: Mapping[str, str]) -> str:
    """Return one hash of all inputs."""
    return _hash(dict(inputs))


def changed_inputs(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Return the kinds of input that differ, those that came or went included."""
    return sorted(kind for kind in before.keys() | now.keys() if before.get(kind) != now.get(kind))


def _first_day(use_case: UseCase, days: PartitionRange) -> str:
    """Return the first day that the training window, or a feature in it, reads; the beginning of time if all of it."""
    lookbacks = [view.lookback_days for view in use_case.features.values() if not view.static]
    if any(lookback is None for lookback in lookbacks):
        return ""
    reach = use_case.training.window_days + max([lookback or 0 for lookback in lookbacks], default=0)
    # A partition is named by its first day, so one that reaches into the window begins before it.
    return str((days.end - timedelta(days=reach + days.step_days - 1)).date())


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
