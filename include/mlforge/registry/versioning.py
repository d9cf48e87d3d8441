"""Semantic versions of releases: what changed since the champion that a release follows.

- major: the contracts or the features are others, so that the model reads, or is asked for, something else;
- minor: trained with other settings: `training` in use_case.yaml, model.py, or what a search found;
- patch: trained again. Other library code, packages, Python or machine are no more than that: they are to give the same
  model, and `mlforge reproduce` says when they do not.

A version names a model. The same model promoted again, and a rollback to it, has the version that it had.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple, Self

from mlforge.db.ledger import ReleaseRecord
from mlforge.errors import TerminalError
from mlforge.fingerprints import differences
from mlforge.refs import Candidate

Step = Literal["major", "minor", "patch"]
MAJOR = ("contracts", "features")
MINOR = ("settings", "model", "plan")
_WRITTEN = re.compile(r"v?(\d+)\.(\d+)\.(\d+)", re.ASCII)


class SemanticVersion(NamedTuple):
    """A version in three numbers; versions are ordered as their numbers are."""

    major: int
    minor: int
    patch: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the version that is written as 1.2.3.

        Raises:
            TerminalError: It is not written so.
        """
        matched = _WRITTEN.fullmatch(text.strip())
        if not matched:
            raise TerminalError(f"{text!r} is no semantic version", hint="write it as 1.2.3")
        return cls(*(int(number) for number in matched.groups()))

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


FIRST = SemanticVersion(1, 0, 0)


def step_between(before: Mapping[str, str], now: Mapping[str, str]) -> Step:
    """Return how far two models are apart, by the fingerprints of what they were made from.

    What only one of them has noted cannot be compared and counts as equal.
    """
    changed = differences(dict(before), dict(now))
    if any(kind in changed for kind in MAJOR):
        return "major"
    return "minor" if any(kind in changed for kind in MINOR) else "patch"


def next_version(records: Sequence[ReleaseRecord], candidate: Candidate) -> SemanticVersion:
    """Return the version of a candidate that is to follow the newest release.

    It counts on from the champion's version. Numbers that a model has already, because a rollback went back before it,
    are passed over: no two models have one version.

    Args:
        records: Every release of the use case, oldest first.
        candidate: What is to be champion.
    """
    for record in records:
        if record.release.uri == candidate.uri:
            return SemanticVersion.parse(record.version)
    if not records:
        return FIRST
    champion = records[-1]
    taken = [SemanticVersion.parse(record.version) for record in records]
    step = step_between(champion.fingerprints, candidate.fingerprints)
    return bump(SemanticVersion.parse(champion.version), step, taken)


def bump(version: SemanticVersion, step: Step, taken: Iterable[SemanticVersion]) -> SemanticVersion:
    """Return the first version that is a step ahead of another one and of all that share what comes before the step."""
    known = [version, *taken]
    if step == "major":
        return SemanticVersion(max(each.major for each in known) + 1, 0, 0)
    known = [each for each in known if each.major == version.major]
    if step == "minor":
        return SemanticVersion(version.major, max(each.minor for each in known) + 1, 0)
    patches = [each.patch for each in known if each.minor == version.minor]
    return SemanticVersion(version.major, version.minor, max(patches) + 1)
