"""What MLflow should show of the release ledger: computed from the ledger alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from mlforge.db import ledger
from mlforge.refs import Release
from mlforge.registry.journal import surviving

VERSION_TAG, RELEASE_TAG, STATE_TAG = "mlforge.version", "mlforge.release", "mlforge.state"


@dataclass(frozen=True)
class Projection:
    """What follows from the ledger for MLflow.

    Attributes:
        champion: Its release, None before the first.
        released: Address of a model that was ever released → the tags of its version.
        judged: Model version that was never released → whether the gate passed it.
    """

    champion: Release | None
    released: Mapping[str, Mapping[str, str]]
    judged: Mapping[int, bool]

    @classmethod
    def of(cls, records: Sequence[ledger.ReleaseRecord], judged: Mapping[int, bool]) -> Projection:
        """Return what follows from every release of a use case, oldest first, and from the newest decisions."""
        standing = {record.release.uri for record in surviving(list(records))}
        champion = records[-1].release if records else None
        released = {}
        for record in records:
            uri = record.release.uri
            state = "champion" if champion and uri == champion.uri else "former champion"
            released[uri] = {
                VERSION_TAG: record.version,
                RELEASE_TAG: str(record.release.release_id),
                STATE_TAG: state if uri in standing else "rolled back",
            }
        return cls(champion, released, judged)

    def tags(self, uri: str, number: int) -> Mapping[str, str | None]:
        """Return the tags that a model version should have; none where it should not have one.

        Args:
            uri: Address of its model.
            number: Its number, for one that was never released.
        """
        if uri in self.released:
            return self.released[uri]
        judged = ("passed" if self.judged[number] else "refused") if number in self.judged else None
        return {VERSION_TAG: None, RELEASE_TAG: None, STATE_TAG: judged}

    def state(self, uri: str, number: int) -> str:
        """Return what a model version is in one word or two."""
        return self.tags(uri, number)[STATE_TAG] or "not judged"


def judged_versions(connection: psycopg.Connection[Any], use_case: str) -> dict[int, bool]:
    """Return model version → whether the gate's newest decision passed it."""
    query = """
        SELECT DISTINCT ON (model_version) model_version, passed FROM ledger.gate_decisions
        WHERE use_case = %(use_case)s ORDER BY model_version, decision_id DESC
    """
    rows = connection.execute(query, {"use_case": use_case}).fetchall()
    return {int(row[0]): bool(row[1]) for row in rows}
