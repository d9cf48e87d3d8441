"""Every model version of a use case: what the gate said of it, which releases carried it, what it is now or was."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from psycopg.rows import dict_row

from mlforge.db import connect, ledger
from mlforge.errors import MLForgeError, PromotionError
from mlforge.registry.model_registry import ModelRegistry, RegisteredVersion
from mlforge.registry.projection import Projection
from mlforge.spec import UseCase

_log = logging.getLogger(__name__)

_DECISIONS = """
    SELECT DISTINCT ON (model_version) model_version, decision_id, passed, reasons, card_uri, decided_at, partition_key,
           evidence -> 'candidate' ->> 'uri' AS uri, evidence -> 'candidate' ->> 'run_id' AS mlflow_run_id
    FROM ledger.gate_decisions
    WHERE use_case = %(use_case)s AND (%(at)s::timestamptz IS NULL OR decided_at <= %(at)s)
    ORDER BY model_version, decision_id DESC
"""


@dataclass(frozen=True)
class ModelVersion:
    """A model version in short.

    Attributes:
        number: Its number in MLflow; where it is gone from there, the one that it had.
        version: Its semantic version, None before its first release.
        state: champion, former champion, rolled back, passed, refused, or not judged.
        releases: Releases that carried it, oldest first.
        passed: What the gate's newest decision was, None before the first.
        reasons: What it failed for, or what it kept.
        card_uri: The promotion card.
        registered_at: When MLflow registered it, UTC; None where MLflow does not say.
    """

    use_case: str
    number: int
    version: str | None
    state: str
    uri: str
    mlflow_run_id: str
    partition_key: str
    releases: tuple[int, ...]
    decision_id: int | None
    passed: bool | None
    reasons: tuple[str, ...]
    card_uri: str | None
    decided_at: datetime | None
    registered_at: datetime | None


def list_versions(use_case: UseCase, *, at: datetime | None = None) -> list[ModelVersion]:
    """Return the model versions of a use case, newest first.

    While MLflow does not answer, those that the gate has not judged are missing, and the log says so.

    Args:
        use_case: Whose.
        at: As they were at this instant, with its time zone; none for now.

    Raises:
        ServiceUnavailableError: PostgreSQL does not answer.
    """
    records = ledger.list_releases(use_case.name, limit=None, at=at)[::-1]
    with connect() as connection, connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(_DECISIONS, {"use_case": use_case.name, "at": at}).fetchall()
    decisions = {int(row["model_version"]): row for row in rows}
    projection = Projection.of(records, {number: bool(row["passed"]) for number, row in decisions.items()})
    registered = {version.number: version for version in _registered(use_case, at)}
    released = {record.release.model_version: record for record in records}
    stand_ins = {number for number, version in registered.items() if version.uri != version.source}
    numbers = sorted((decisions.keys() | registered.keys() | released.keys()) - (stand_ins - released.keys()))
    return [
        _version(use_case, number, records, projection, decisions.get(number), registered.get(number))
        for number in reversed(numbers)
    ]


def find_version(versions: Sequence[ModelVersion], name: str, *, where: str) -> ModelVersion:
    """Return the version that a person names.

    Args:
        versions: All there are, newest first.
        name: A model version as `7`, a semantic version as `1.2.0`, a release as `r12`, or `champion`.
        where: The use case, for the message.

    Raises:
        PromotionError: There is none of that name; the message has those that are like it.
    """
    names: dict[str, ModelVersion] = {}
    for version in reversed(versions):
        names[str(version.number)] = version
        if version.version:
            names[version.version] = version
        names.update({f"r{release}": version for release in version.releases})
        if version.state == "champion":
            names["champion"] = version
    asked = name.strip().lower()
    found = names.get(asked) or names.get(asked.removeprefix("v"))
    if found is not None:
        return found
    near = difflib.get_close_matches(asked, names, n=5, cutoff=0.5) or list(names)[-5:][::-1]
    raise PromotionError(
        f"there is no version {name!r}",
        where=where,
        evidence=[f"{each} is version {names[each].number}, {names[each].state}" for each in near],
        hint=f"`mlforge models list --versions -u {where}` lists them; name a version as 7, 1.2.0, r12 or champion",
    )


def _registered(use_case: UseCase, at: datetime | None) -> list[RegisteredVersion]:
    try:
        versions = ModelRegistry(use_case).versions()
    except MLForgeError as error:
        _log.warning("only versions that the ledger knows are listed: %s", error)
        return []
    return [version for version in versions if at is None or _time(version.created) <= at]


def _version(
    use_case: UseCase,
    number: int,
    records: Sequence[ledger.ReleaseRecord],
    projection: Projection,
    decision: dict[str, Any] | None,
    registered: RegisteredVersion | None,
) -> ModelVersion:
    carried = [record for record in records if record.release.model_version == number]
    last = carried[-1] if carried else None
    decided = decision or {}
    uri = last.release.uri if last else str(decided.get("uri") or (registered.source if registered else ""))
    return ModelVersion(
        use_case=use_case.name,
        number=number,
        version=last.version if last else None,
        state=projection.state(uri, number),
        uri=uri,
        mlflow_run_id=str(decided.get("mlflow_run_id") or (registered.run_id if registered else "")),
        partition_key=last.release.partition_key if last else str(decided.get("partition_key") or ""),
        releases=tuple(record.release.release_id for record in carried),
        decision_id=decided.get("decision_id"),
        passed=decided.get("passed"),
        reasons=tuple(decided.get("reasons") or ()),
        card_uri=decided.get("card_uri"),
        decided_at=decided.get("decided_at"),
        registered_at=_time(registered.created) if registered else None,
    )


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
