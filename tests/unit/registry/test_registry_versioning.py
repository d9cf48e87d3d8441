from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlforge.errors import TerminalError
from mlforge.registry.projection import Projection
from mlforge.registry.versioning import FIRST, SemanticVersion, bump, next_version, step_between

SAME = {"contracts": "c", "features": "f", "settings": "s", "model": "m", "plan": "p", "library": "l", "lock": "k"}


def entry(uri: str, version: str, kind: str = "promote", number: int = 1, **changed: str) -> Any:
    release = SimpleNamespace(uri=uri, release_id=number)
    return SimpleNamespace(release=release, version=version, kind=kind, fingerprints={**SAME, **changed})


def model(uri: str, **changed: str) -> Any:
    return SimpleNamespace(uri=uri, fingerprints={**SAME, **changed})


@pytest.mark.parametrize(
    ("changed", "step"),
    [
        (["contracts"], "major"),
        (["features", "settings"], "major"),
        (["settings"], "minor"),
        (["model", "library"], "minor"),
        (["plan"], "minor"),
        (["library", "lock"], "patch"),
        ([], "patch"),
    ],
)
def test_what_changed_decides_how_far_a_version_steps(changed: list[str], step: str) -> None:
    assert step_between(SAME, {**SAME, **dict.fromkeys(changed, "other")}) == step


def test_what_was_not_noted_counts_as_equal() -> None:
    assert step_between({}, SAME) == step_between(SAME, {}) == "patch"


def test_the_first_release_is_1_0_0_and_the_next_ones_count_on() -> None:
    records: list[Any] = []
    assert next_version(records, model("a")) == FIRST
    records.append(entry("a", "1.0.0"))
    assert str(next_version(records, model("b"))) == "1.0.1"
    assert str(next_version(records, model("b", settings="other"))) == "1.1.0"
    assert str(next_version(records, model("b", features="other"))) == "2.0.0"


def test_after_a_rollback_no_number_is_given_twice() -> None:
    records = [entry("a", "1.0.0"), entry("b", "1.0.1"), entry("a", "1.0.0", "rollback")]
    assert str(next_version(records, model("c"))) == "1.0.2"
    # The model that was taken back comes again: its version names it.
    assert str(next_version(records, model("b"))) == "1.0.1"
    records = [entry("a", "1.0.0"), entry("b", "2.0.0", features="x"), entry("a", "1.0.0", "rollback")]
    assert str(next_version(records, model("c"))) == "1.0.1"
    assert str(next_version(records, model("c", features="y"))) == "3.0.0"


versions = st.builds(SemanticVersion, *[st.integers(min_value=0, max_value=4)] * 3)


@given(version=versions, step=st.sampled_from(["major", "minor", "patch"]), taken=st.lists(versions))
def test_a_new_version_is_ahead_and_was_never_given(version: SemanticVersion, step: Any, taken: Any) -> None:
    found = bump(version, step, taken)
    assert found > version
    assert found not in taken
    kept = {"major": 0, "minor": 1, "patch": 2}[step]
    assert found[:kept] == version[:kept]
    assert SemanticVersion.parse(str(found)) == found


def test_what_is_no_version_is_refused() -> None:
    assert SemanticVersion.parse("v1.2.10") == (1, 2, 10)
    with pytest.raises(TerminalError, match=r"no semantic version.*1\.2\.3"):
        SemanticVersion.parse("1.2")


def test_mlflow_is_to_show_what_each_version_is() -> None:
    records = [
        entry("a", "1.0.0", number=1),
        entry("b", "1.0.1", number=2),
        entry("c", "1.0.2", number=3),
        entry("b", "1.0.1", "rollback", number=4),
    ]
    projection = Projection.of(records, {1: True, 7: True, 8: False})
    states = {uri: projection.state(uri, 1) for uri in "abc"}
    assert states == {"a": "former champion", "b": "champion", "c": "rolled back"}
    assert projection.tags("b", 2)["mlforge.release"] == "4"
    assert projection.tags("b", 2)["mlforge.version"] == "1.0.1"
    assert [projection.state("other", number) for number in (7, 8, 9)] == ["passed", "refused", "not judged"]
    assert set(projection.tags("other", 9).values()) == {None}
