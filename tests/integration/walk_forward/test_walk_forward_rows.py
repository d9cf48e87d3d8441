from __future__ import annotations

import hashlib
import io
from datetime import date, timedelta

import pyarrow.parquet as pq
import pytest

from mlforge import db, storage
from mlforge.features import assemble_training_set
from mlforge.features.steps import training_set_bytes
from mlforge.refs import PartitionRange
from mlforge.spec import UseCase
from mlforge.walk_forward.rows import WalkRows
from mlforge.walk_forward.weeks import Week

pytestmark = pytest.mark.integration

WEEKS = [Week(date(2013, 1, 14)), Week(date(2013, 1, 21))]


def test_rows_as_of_a_week_are_those_of_a_training_set(january: UseCase) -> None:
    for week in WEEKS:
        start = week.as_of - timedelta(days=january.training.window_days)
        table = WalkRows(january, week).assemble(start, week.as_of, week.as_of)
        day_before = PartitionRange.parse(str(week.first - timedelta(days=1)))
        wanted = assemble_training_set(january, day_before)
        assert hashlib.sha256(training_set_bytes(table)).hexdigest() == wanted.content_hash
