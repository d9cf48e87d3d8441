"""What a change of a contract hits: feature views, inputs of the model, and what is live now."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from mlforge.db import ledger
from mlforge.errors import MLForgeError, SpecError
from mlforge.lineage import downstream_columns
from mlforge.spec import UseCase


@dataclass(frozen=True)
class Impact:
    """What reads a column.

    Attributes:
        views: Feature views.
        inputs: Columns that the model takes.
        label: Whether what is predicted depends on it.
        times: Which of the dataset's two times are computed from it.
        unknown: Why it could not be told.
    """

    views: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    label: bool = False
    times: tuple[str, ...] = ()
    unknown: str = ""


@dataclass(frozen=True)
class Live:
    """What answers now.

    Attributes:
        known: Whether the database could be asked.
        champion: Champion's release and version, if there is one.
        endpoint: Address of the live deployment, if there is one.
    """

    known: bool
    champion: dict[str, Any] | None = None
    endpoint: dict[str, Any] | None = None
    why_unknown: str = ""


def impact_of(use_case: UseCase, dataset: str, column: str) -> Impact:
    """Return what reads a column, from the use case's own files; also of one that the contract has no longer."""
    try:
        uses = downstream_columns(use_case, dataset, column)
    except SpecError as error:
        if "trace" in error.what or "SQL" in error.what:
            return Impact(unknown=error.what)
        return Impact()  # nothing names it
    layers: dict[str, list[str]] = {}
    for use in uses:
        name = use.table.split(".", 1)[-1] if use.layer == "features" else use.column
        layers.setdefault(use.layer, []).append(name)
    inputs = list(dict.fromkeys(layers.get("model", ())))
    return Impact(
        views=tuple(dict.fromkeys(layers.get("features", ()))),
        inputs=tuple(name for name in inputs if name != "label"),
        label="label" in inputs,
        times=tuple(name for name in ("event_timestamp", "known_at") if name in layers.get("warehouse", ())),
    )


def impact_of_all(use_case: UseCase, dataset: str, columns: Iterable[str]) -> dict[str, Impact]:
    """Return what reads each of some columns."""
    return {column: impact_of(use_case, dataset, column) for column in dict.fromkeys(columns) if column}


def what_is_live(use_case: UseCase, gateway_url: str) -> Live:
    """Return the champion and what answers; a database that does not answer is told, never guessed around."""
    try:
        champion, live = ledger.champion(use_case.name), ledger.live_deployment(use_case.name)
    except (MLForgeError, OSError) as error:
        return Live(known=False, why_unknown=getattr(error, "what", str(error)))
    return Live(
        known=True,
        champion=None
        if champion is None
        else {"release": champion.release_id, "model": champion.model_name, "version": champion.model_version},
        endpoint=None
        if live is None
        else {"release": live.release_id, "since": f"{live.changed_at:%Y-%m-%d %H:%M} UTC",
              "address": f"{gateway_url}/{use_case.name}/predict"},
    )  # fmt: skip
