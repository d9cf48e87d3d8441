"""What a kill between check and publication leaves, and what the next run makes of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from flight_sources import ask, published, staging_tables, warehouse
from mlforge import db
from mlforge.settings import Settings
from mlforge.spec import UseCase

pytestmark = pytest.mark.integration
DAY = "2013-04-02"
AFTER_CHECK = """
import sys
from flight_sources import checked
from mlforge.spec import load_use_case
checked(load_use_case("flight_delays"), sys.argv[1])
print("checked", flush=True)
sys.stdin.read()
"""
WITHIN_PUBLICATION = """
import sys
from flight_sources import checked
from mlforge.ingest import publish, publish_partition
from mlforge.spec import load_use_case
def stop(*_):
    print("inserted", flush=True)
    sys.stdin.read()
write = publish._write
def write_and_stop(*arguments):
    write(*arguments)
    stop()
publish._write = write_and_stop
use_case = load_use_case("flight_delays")
publish_partition(use_case, checked(use_case, sys.argv[1]))
"""


def kill_at(code: str, word: str) -> None:
    """Run code in a process of its own and kill it as soon as it says the word."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, DAY],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[1],
        env=dict(os.environ),
    )
    assert process.stdout is not None
    try:
        assert any(word.encode() in line for line in process.stdout)
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(("code", "word"), [(AFTER_CHECK, "checked"), (WITHIN_PUBLICATION, "inserted")])
def test_a_killed_attempt_leaves_nothing_published_and_the_next_one_comes_through(
    database: Settings, flight_delays: UseCase, code: str, word: str
) -> None:
    kill_at(code, word)
    assert len(staging_tables()) == 1
    assert ask("SELECT count(*) FROM ledger.publications") == [(0,)]
    # What an attempt with the same rows has staged counts as left behind after an hour.
    with db.connect() as connection:
        connection.execute("UPDATE ledger.attempts SET claimed_at = claimed_at - interval '2 hours'")
    done = published(flight_delays, DAY)
    assert (done.rows, done.changed) == (981, 1)
    assert len(warehouse()) == 981
    assert staging_tables() == []
