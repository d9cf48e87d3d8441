"""How much of a partition may be broken before all of it is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from mlforge.contracts.rules import Verdict
from mlforge.errors import ContractError
from mlforge.spec import Dataset

_HINT = "see ledger.contract_results; correct the source, or the contract if the rule is wrong"


def require_policy(
    dataset: Dataset,
    where: str,
    verdicts: Sequence[Verdict],
    counts: Mapping[str, Sequence[int]],
    examples: Mapping[str, Sequence[dict[str, Any]]],
) -> None:
    """Check each partition by itself: a range passes if, and only if, each of its days does.

    Args:
        dataset: Its `quarantine_up_to` is the share of distinct rows that may be set aside.
        where: Use case, dataset and partition, for the error.
        verdicts: What was found.
        counts: Partition key → rows that came, distinct rows, rows set aside.
        examples: Rule → rows that break it.

    Raises:
        ContractError: A partition is broken as a whole, or too many of its rows are.
    """
    for verdict in verdicts:
        if verdict.observed and verdict.rule.severity == "error":
            raise ContractError(
                f"{len(verdict.observed)} of {len(counts)} partitions break it as a whole",
                where=f"{where}, rule {verdict.rule.name}",
                evidence=[f"{key} has {value:g}" for key, value in sorted(verdict.observed.items())],
                hint=_HINT,
            )
    beyond = [key for key, (_, distinct, aside) in counts.items() if aside > dataset.quarantine_up_to * distinct]
    if not beyond:
        return
    worst = max((v for v in verdicts if v.rule.severity == "error"), key=lambda verdict: len(verdict.row_ids))
    distinct, aside = (sum(counts[key][place] for key in beyond) for place in (1, 2))
    days = "" if len(counts) == 1 else f" of {len(beyond)} of {len(counts)} partitions, such as {min(beyond)},"
    raise ContractError(
        f"{aside} of {distinct} rows{days} ({aside / distinct:.1%}) break the contract, {dataset.quarantine_up_to:.1%}"
        f" may; most of them, {len(worst.row_ids)}, this rule",
        where=f"{where}, rule {worst.rule.name}",
        evidence=[json.dumps(row) for row in examples[worst.rule.name]],
        hint=_HINT,
    )
