"""The promotion card: what the gate decided and every figure that it rests on, for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Self

from pydantic import BaseModel, ConfigDict

from mlforge.refs import Candidate, Release
from mlforge.registry.checks import Check, Group
from mlforge.registry.comparison import Comparison

__all__ = ["Check", "PromotionCard", "page_uri"]


class PromotionCard(BaseModel):
    """What the gate decided. It holds no time of its own: the same figures are the same card.

    Attributes:
        rows: Test rows that everything was measured on.
        window: First and last instant of the test rows, UTC.
        gates: The rules, as use_case.yaml says them.
        champion: Champion at that moment, None for a first candidate.
        segments: Groups of the guardrails.
    """

    model_config = ConfigDict(frozen=True)

    use_case: str
    passed: bool
    checks: tuple[Check, ...]
    candidate: Candidate
    champion: Release | None
    comparison: Comparison | None
    segments: tuple[Group, ...] = ()
    metrics: dict[str, float]
    champion_metrics: dict[str, float] | None
    rows: int
    window: tuple[str, str]
    gates: dict[str, Any]

    @property
    def reasons(self) -> tuple[str, ...]:
        """What failed; when nothing did, what was kept."""
        failed = tuple(check.detail for check in self.checks if not check.passed)
        return failed or tuple(check.detail for check in self.checks)

    @property
    def verdict(self) -> str:
        """What was decided, in words."""
        return f"version {self.candidate.model_version} {'passed' if self.passed else 'was refused'}"

    @property
    def against(self) -> str:
        """What it was compared with, in words."""
        champion = self.champion
        return f"release {champion.release_id} (version {champion.model_version})" if champion else "no champion yet"

    @property
    def scores(self) -> dict[str, dict[str, float]]:
        """Who → name of a score → the score: candidate, champion, baselines."""
        found = {"candidate": self.metrics}
        if self.champion_metrics is not None:
            found["champion"] = self.champion_metrics
        return found | {name.replace("_", " "): scores for name, scores in sorted(self.candidate.baselines.items())}

    def score_rows(self) -> list[list[str]]:
        """Return a row per score, the compared one first: its name, then what each of `scores` has."""
        metric = self.gates.get("metric")
        return [
            [name, *(f"{scores[name]:.4f}" if name in scores else "" for scores in self.scores.values())]
            for name in sorted(self.metrics, key=lambda name: (name != metric, name))
        ]

    def says_the_same_as(self, other: Self) -> bool:
        """Return whether two cards differ at most in what a clock measured."""
        return self._settled() == other._settled()

    def _settled(self) -> Self:
        checks = tuple(
            check.model_copy(update={"detail": "", "figures": {}}) if check.measured else check for check in self.checks
        )
        return self.model_copy(update={"checks": checks})

    def json_text(self) -> str:
        """Return the card as JSON, keys sorted."""
        return json.dumps(self.model_dump(mode="json"), indent=2, sort_keys=True) + "\n"

    def markdown(self) -> str:
        """Return the card as Markdown."""
        candidate = self.candidate
        lines = [
            f"# {self.use_case}: {self.verdict}",
            "",
            f"Trained on `{candidate.training_set.content_hash[:12]}`, as of {candidate.training_set.as_of:%Y-%m-%d}; "
            f"compared with {self.against} on {self.rows:,} rows from {self.window[0]} to {self.window[1]} UTC.",
            "",
            *_table(
                ["rule", "kept", "figures"],
                ([check.name, "yes" if check.passed else "**no**", check.detail] for check in self.checks),
            ),
            "",
            *_table(["score", *self.scores], self.score_rows()),
            *_group_table(self),
            "",
            f"Model `{candidate.uri}`, content `{candidate.content_hash}`, code `{candidate.code_version}`, "
            f"MLflow run `{candidate.run_id}`.",
            "",
        ]
        return "\n".join(lines)


def page_uri(card_uri: str) -> str:
    """Return the address of a card's page from that of its Markdown."""
    return card_uri.removesuffix(".md") + ".html"


def _group_table(card: PromotionCard) -> list[str]:
    judged = [group for group in card.segments if group.judged]
    if not judged:
        return []
    rows = (
        [
            group.by,
            group.value,
            f"{group.rows:,}",
            f"{group.difference:+.4f}",
            f"{group.lower:+.4f} to {group.upper:+.4f}",
            f"{group.margin:g}",
            "**no**" if group.worse else "yes",
        ]
        for group in judged
    )
    return ["", *_table(["by", "group", "rows", "difference", "interval", "margin", "kept"], rows)]


def _table(head: list[str], rows: Iterable[list[str]]) -> list[str]:
    lines = (f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows)
    return [f"| {' | '.join(head)} |", "|" + "---|" * len(head), *lines]
