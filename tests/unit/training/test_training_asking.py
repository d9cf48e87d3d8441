"""Who is given a training: the table of what is decided, for every wish and every past."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlforge.training.requests import Answer, LastAsked, Wish, decide

AT = dt.datetime(2013, 4, 2, 7, 0, tzinfo=dt.UTC)
NOW = {"as of": "2013-04-01", "dataset flights": "a", "settings": "s"}
BEFORE = {**NOW, "dataset flights": "b"}
BOTH = ["partition", "drift"]

wishes = st.builds(
    Wish,
    cause=st.sampled_from(["partition", "drift", "person"]),
    helps=st.booleans(),
    why=st.sampled_from(["", "4 of 5 columns have drifted"]),
    obstacle=st.sampled_from(["", "2013-04-01 is part of a backfill"]),
    insists=st.booleans(),
    by_hand=st.booleans(),
    who=st.sampled_from(["schedule", "ada"]),
    run_id=st.sampled_from([None, "f.data/1", "f.data/2", "f.monitoring/1"]),
)
pasts = st.none() | st.builds(
    LastAsked,
    inputs=st.sampled_from([NOW, BEFORE]),
    run_id=st.sampled_from([None, "f.data/1", "f.monitoring/1", "f.training/1"]),
    at=st.just(AT),
    decided=st.booleans(),
)
causes = st.lists(st.sampled_from(["partition", "drift"]), unique=True)


@given(wishes, causes, pasts)
def test_every_answer_keeps_the_rules(wish: Wish, on: list[str], last: LastAsked | None) -> None:
    answer = decide(wish, on, NOW, last)
    assert answer.reason
    assert answer.cause == ("person" if answer.cause == "person" else wish.cause)
    wanted = wish.cause == "person" or (wish.cause == "partition" and wish.insists)
    if not wanted and wish.cause not in on:
        assert answer.verdict == "off"
    elif not wanted and not wish.helps:
        assert answer.verdict == "no_cause"
    elif wish.obstacle:
        assert (answer.verdict, answer.reason) == ("not_live", wish.obstacle)
    elif wanted or wish.insists:
        assert (answer.verdict, answer.cause) == ("asked", "person")
    elif last is None:
        assert answer.verdict == "asked"
    elif last.decided and last.inputs == NOW:
        assert answer.verdict == "unchanged"
    assert answer.may_be_forced or wish.cause == "drift"


@given(wishes, causes, pasts)
def test_who_may_be_forced_is_asked_when_a_person_insists(wish: Wish, on: list[str], last: LastAsked | None) -> None:
    answer = decide(wish, on, NOW, last)
    if answer.may_be_forced and not answer.asked:
        insisting = Wish(wish.cause, helps=wish.helps, why=wish.why, insists=True, who="ada", run_id=wish.run_id)
        assert decide(insisting, on, NOW, last).asked


@given(st.lists(wishes, max_size=6), causes)
def test_two_that_ask_for_one_partition_start_one_training(asking: list[Wish], on: list[str]) -> None:
    """However many ask while the gate is silent: only a person, or a run that tries again, starts another."""
    last: LastAsked | None = None
    for wish in asking:
        answer = decide(wish, on, NOW, last)
        if last is not None and answer.asked:
            again = wish.run_id is not None and last.run_id is not None
            assert answer.cause == "person" or (again and (wish.run_id == last.run_id or wish.by_hand))
        if answer.asked:
            last = LastAsked(NOW, wish.run_id, AT, decided=False)


def reason(wish: Wish, last: LastAsked | None) -> Answer:
    return decide(wish, BOTH, NOW, last)


@pytest.mark.parametrize(
    ("wish", "last", "verdict", "words"),
    [
        (Wish("partition"), None, "asked", "2013-04-01 is new"),
        (Wish("partition"), LastAsked(NOW, "d/1", AT, True), "unchanged",
         "nothing has changed since training as of 2013-04-01, asked for at 2013-04-02 07:00 UTC"),
        (Wish("partition"), LastAsked(BEFORE, "d/1", AT, True), "asked",
         "changed since the training as of 2013-04-01 of 2013-04-02 07:00 UTC: dataset flights"),
        (Wish("partition"), LastAsked(NOW, "d/1", AT, False), "already",
         "a training as of 2013-04-01 is asked for since 2013-04-02 07:00 UTC; its gate has not decided yet"),
        (Wish("drift", why="9 of 10"), None, "asked", "9 of 10"),
        (Wish("drift", why="9 of 10"), LastAsked(BEFORE, "d/1", AT, True), "already",
         "a training as of 2013-04-01 was asked for at 2013-04-02 07:00 UTC already"),
        (Wish("drift", helps=False, why="10% have drifted"), None, "no_cause", "10% have drifted"),
        (Wish("partition", insists=True, who="ada"), LastAsked(NOW, "d/1", AT, True), "asked", "ada wants it"),
    ],
)  # fmt: skip
def test_the_reason_is_said(wish: Wish, last: LastAsked | None, verdict: str, words: str) -> None:
    answer = reason(wish, last)
    assert (answer.verdict, answer.reason) == (verdict, words)
