from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mlforge.registry.journal import surviving


def entry(kind: str, uri: str) -> Any:
    return SimpleNamespace(kind=kind, release=SimpleNamespace(uri=uri))


def test_two_rollbacks_go_two_models_back() -> None:
    journal = [entry("promote", name) for name in "abc"]
    journal.append(entry("rollback", surviving(journal)[-2].release.uri))
    assert [item.release.uri for item in surviving(journal)] == ["a", "b"]
    journal.append(entry("rollback", surviving(journal)[-2].release.uri))
    assert [item.release.uri for item in surviving(journal)] == ["a"]


@given(steps=st.lists(st.booleans(), max_size=30))
def test_the_last_one_standing_is_the_champions_model(steps: list[bool]) -> None:
    journal: list[Any] = []
    for number, promote in enumerate(steps):
        standing = surviving(journal)
        if promote:
            journal.append(entry("promote", str(number)))
        elif len(standing) > 1:
            journal.append(entry("rollback", standing[-2].release.uri))
        if journal:
            assert surviving(journal)[-1].release.uri == journal[-1].release.uri
