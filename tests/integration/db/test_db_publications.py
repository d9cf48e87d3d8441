"""The newest published partition."""

from __future__ import annotations

import pytest

from mlforge import db
from mlforge.db.publications import newest_partition
from mlforge.settings import Settings

pytestmark = pytest.mark.integration

_PUBLISH = """
    INSERT INTO ledger.publications (use_case, dataset, partition_key, version, attempt, rows_in, rows_published,
        rows_quarantined, rows_duplicate, content_hash, raw_uri, raw_hash, contract_version, code_version)
    VALUES (%s, %s, %s, 1, 1, 0, 0, 0, 0, 'h', 'u', 'h', '1', 'c')
"""


def test_it_is_the_newest_day_of_any_dataset_of_the_use_case(database: Settings) -> None:
    assert newest_partition("a") is None
    rows = [("a", "x", "2013-01-02"), ("a", "y", "2013-01-10"), ("a", "z", "static"), ("b", "x", "2014-01-01")]
    with db.connect() as connection:
        for row in rows:
            connection.execute(_PUBLISH, row)
    assert newest_partition("a") == "2013-01-10"
    assert newest_partition("b") == "2014-01-01"
