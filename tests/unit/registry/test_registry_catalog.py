from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from mlforge.errors import PromotionError
from mlforge.registry.catalog import find_version
from mlforge.registry.model_registry import RESTORES_TAG, RegisteredVersion, version_of


def listed(number: int, version: str | None, state: str, *releases: int) -> Any:
    return SimpleNamespace(number=number, version=version, state=state, releases=releases)


VERSIONS = [
    listed(12, None, "refused"),
    listed(7, "1.1.0", "champion", 3, 5),
    listed(5, "1.0.1", "former champion", 2),
]


@pytest.mark.parametrize("name", ["7", "v7", "1.1.0", "v1.1.0", "r3", "R5", "champion", " 7 "])
def test_a_version_has_many_names(name: str) -> None:
    assert find_version(VERSIONS, name, where="flight_delays").number == 7


def test_a_version_that_is_not_there_is_said_with_those_that_are_like_it() -> None:
    with pytest.raises(PromotionError, match=r"no version '1\.1\.1'.*1\.1\.0 is version 7, champion.*--versions"):
        find_version(VERSIONS, "1.1.1", where="flight_delays")
    with pytest.raises(PromotionError, match="there is no version"):
        find_version([], "1", where="flight_delays")


def registered(number: int, source: str, **tags: str) -> RegisteredVersion:
    return RegisteredVersion(number, source, "run", tags, 0)


def test_a_version_stands_for_a_release_by_its_model_not_by_its_number() -> None:
    release: Any = SimpleNamespace(uri="models:/m-1", model_version=2)
    other = registered(2, "models:/m-9")
    own = registered(2, "models:/m-1")
    assert version_of([other], release) is None
    assert version_of([own, registered(3, "models:/m-1")], release) == own
    again = registered(4, "models:/m-5", **{RESTORES_TAG: "models:/m-1"})
    assert version_of([own, again], release) == again
