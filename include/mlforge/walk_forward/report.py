"""The report of a walk: its page in the storage, anew after each week."""

from __future__ import annotations

import hashlib

from mlforge import storage
from mlforge.errors import WalkForwardError
from mlforge.spec import UseCase
from mlforge.walk_forward import ledger
from mlforge.walk_forward.identity import walk_name
from mlforge.walk_forward.ledger import WalkRecord
from mlforge.walk_forward.page import walk_page
from mlforge.walk_forward.refs import WalkReport, WeekScores
from mlforge.walk_forward.summary import summarize


def find_walk(use_case: UseCase, name: str | None = None) -> WalkRecord:
    """Return a walk by its name; without one that of the present settings, or else the newest.

    Raises:
        WalkForwardError: There is none.
    """
    found = ledger.find_walk(use_case.name, walk_name(use_case, name))
    walks = ledger.list_walks(use_case.name)
    if found is None and (name is not None or not walks):
        raise WalkForwardError(
            f"there is no walk {name!r}" if name else "no walk has begun",
            where=use_case.name,
            evidence=[walk.name for walk in walks],
            hint=f"begin one: `mlforge walk-forward run {use_case.name}`",
        )
    return found or walks[0]


def write_report(use_case: UseCase, scored: WeekScores) -> WalkReport:
    """Write the page of a walk to the storage, in the place of the one before.

    Raises:
        WalkForwardError: The walk has not begun.
    """
    walk = find_walk(use_case, scored.walk)
    records = ledger.weeks_of(walk)
    content = walk_page(use_case, walk, records, price_per_hour=use_case.walk_forward.price_per_hour).encode()
    uri = storage.put_named(f"walk_forward/{use_case.name}/{walk.name}/walk.html", content)
    return WalkReport(
        use_case=use_case.name,
        partition_key=scored.partition_key,
        uri=uri,
        rows=len({record.week for record in records}),
        content_hash=hashlib.sha256(content).hexdigest(),
        code_version=scored.code_version,
        walk=walk.name,
        conclusion=summarize(walk, records).conclusion,
    )
