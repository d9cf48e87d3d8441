from __future__ import annotations

import json
from typing import Any

import numpy as np

from gate_evidence import gated, make_candidate, make_card, make_evidence, make_labels
from mlforge.registry.card import PromotionCard, page_uri
from mlforge.registry.card_page import card_page
from mlforge.registry.checks import Check
from mlforge.spec.gates import Segment

LABELS, GOOD = make_labels(4000)
BLUNT = np.full(len(LABELS), LABELS.mean())
CARRIERS = np.array(["AA", "<b>", "UA|x", "WN"])[np.arange(len(LABELS)) % 4]


def shown(own: np.ndarray = GOOD, theirs: np.ndarray | None = BLUNT, **gates: Any) -> PromotionCard:
    use_case = gated(
        beat_baselines=["base_rate"], mcnemar_alpha=0.01, segments=[Segment(by="carrier", margin=0.01)], **gates
    )
    candidate = make_candidate(baselines={"base_rate": {"log_loss": 0.7, "brier": 0.3}}, fingerprints={"lock": "abc"})
    return make_card(make_evidence(use_case, LABELS, own, theirs, candidate=candidate, carrier=CARRIERS))


def test_all_figures_are_in_the_json_and_it_reads_back() -> None:
    card = shown()
    document = json.loads(card.json_text())
    assert {check["name"] for check in document["checks"]} == {
        "beats base_rate", "no worse than the champion", "labels no worse", "no worse by carrier",
    }  # fmt: skip
    assert all(check["figures"] for check in document["checks"])
    assert len(document["segments"]) == 4
    assert PromotionCard.model_validate(document) == card
    assert PromotionCard.model_validate_json(card.json_text()).markdown() == card.markdown()


def test_a_card_of_an_earlier_library_can_still_be_read() -> None:
    document = json.loads(shown().json_text())
    del document["segments"]
    for check in document["checks"]:
        del check["figures"], check["measured"]
    for name in ("rule", "resample", "units"):
        del document["comparison"][name]
    card = PromotionCard.model_validate(document)
    assert card.passed
    assert "Rules" in card_page(card)


def test_the_same_figures_are_the_same_card_and_a_clock_does_not_count() -> None:
    card = shown()
    assert shown() == card

    def timed(milliseconds: float, *, passed: bool = True) -> PromotionCard:
        check = Check(
            name="fast enough", passed=passed, detail=str(milliseconds), figures={"value": milliseconds}, measured=True
        )
        return card.model_copy(update={"checks": (*card.checks, check)})

    assert timed(1.0).says_the_same_as(timed(1.1))
    assert not timed(1.0).says_the_same_as(timed(9.0, passed=False))
    assert not timed(1.0).says_the_same_as(card)
    assert not card.says_the_same_as(shown(alpha=0.05))


def test_the_page_shows_verdict_rules_intervals_scores_and_data() -> None:
    page = card_page(shown())
    for text in ("flight_delays: version 3 passed", "rules kept", "labels no worse", "Difference to the champion",
                 "By carrier", "Scores on the test rows", "base rate", "lock fingerprint", "models:/m-1"):  # fmt: skip
        assert text in page
    assert page.count("<svg") == 2
    assert "<b>" + " (1,000)" not in page
    assert "&lt;b&gt; (1,000)" in page
    refused = card_page(shown(BLUNT, GOOD))
    assert "was refused" in refused
    assert 'stroke="var(--bad)"' in refused


def test_a_first_candidate_has_a_page_without_intervals() -> None:
    page = card_page(shown(theirs=None))
    assert "no champion yet" in page
    assert "<svg" not in page


def test_a_value_cannot_break_the_markdown_table() -> None:
    lines = [line for line in shown().markdown().splitlines() if "UA" in line and line.startswith("| carrier")]
    assert len(lines) == 1
    assert "UA\\|x" in lines[0]


def test_the_page_lies_beside_the_markdown() -> None:
    assert page_uri("s3://b/promotion_cards/f/abc.md") == "s3://b/promotion_cards/f/abc.html"
