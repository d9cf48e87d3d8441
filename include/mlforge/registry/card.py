"""The promotion card: what the gate decided and every figure that it rests on, for people and for programs."""

from __future__ import annotations

import json
from typing import Any, Self

from pydantic import BaseModel, ConfigDict

from mlforge import storage
from mlforge.refs import Candidate, Release
from mlforge.registry.comparison import Comparison


class Check(BaseModel):
    """One rule of the gate and whether the candidate keeps it."""

    model_config = ConfigDict(frozen=True)

    name: str
    passed: bool
    detail: str


class PromotionCard(BaseModel):
    """What the gate decided. It holds no time of its own: the same figures are the same card.

    Attributes:
        rows: Test rows that everything was measured on.
        window: First and last instant of the test rows, UTC.
        gates: The rules, as use_case.yaml says them.
        champion: Champion at that moment, None for a first candidate.
    """

    model_config = ConfigDict(frozen=True)

    use_case: str
    passed: bool
    checks: tuple[Check, ...]
    candidate: Candidate
    champion: Release | None
    comparison: Comparison | None
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

    def store(self) -> tuple[Self, str, str]:
        """Store the card as JSON and Markdown; return it with the Markdown's URI and hash."""
        folder = f"promotion_cards/{self.use_case}"
        storage.put_bytes(folder, self.json_text().encode(), ".json")
        uri, digest = storage.put_bytes(folder, self.markdown().encode(), ".md")
        return self, uri, digest

    def json_text(self) -> str:
        """Return the card as JSON, keys sorted."""
        return json.dumps(self.model_dump(mode="json"), indent=2, sort_keys=True) + "\n"

    def markdown(self) -> str:
        """Return the card as Markdown."""
        candidate, champion = self.candidate, self.champion
        against = f"release {champion.release_id} (version {champion.model_version})" if champion else "no champion yet"
        lines = [
            f"# {self.use_case}: version {candidate.model_version} {'passed' if self.passed else 'was refused'}",
            "",
            f"Trained on `{candidate.training_set.content_hash[:12]}`, as of {candidate.training_set.as_of:%Y-%m-%d}; "
            f"compared with {against} on {self.rows:,} rows from {self.window[0]} to {self.window[1]} UTC.",
            "",
            "| rule | kept | figures |",
            "|---|---|---|",
            *(f"| {check.name} | {'yes' if check.passed else '**no**'} | {check.detail} |" for check in self.checks),
            "",
            *_score_table(self),
            "",
            f"Model `{candidate.uri}`, content `{candidate.content_hash}`, code `{candidate.code_version}`, "
            f"MLflow run `{candidate.run_id}`.",
            "",
        ]
        return "\n".join(lines)


def _score_table(card: PromotionCard) -> list[str]:
    columns = {"candidate": card.metrics}
    if card.champion_metrics is not None:
        columns["champion"] = card.champion_metrics
    columns.update({name.replace("_", " "): scores for name, scores in card.candidate.baselines.items()})
    head = [f"| score | {' | '.join(columns)} |", "|---|" + "---|" * len(columns)]
    rows = []
    for metric in card.metrics:
        cells = [f"{scores[metric]:.4f}" if metric in scores else "" for scores in columns.values()]
        rows.append(f"| {metric} | {' | '.join(cells)} |")
    return head + rows
