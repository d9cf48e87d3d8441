"""McNemar's test: does the candidate get more labels wrong than the champion?"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np

from mlforge.metrics import Vector
from mlforge.registry.checks.check import Check
from mlforge.registry.checks.evidence import Evidence

# The probability from which on serving answers with the positive label.
THRESHOLD = 0.5
# With fewer pairs the binomial itself is summed.
_FEW_PAIRS = 50


def check_labels(evidence: Evidence) -> list[Check]:
    """Return whether the candidate's labels are not surely worse than the champion's, where `mcnemar_alpha` is set."""
    alpha, theirs = evidence.use_case.gates.mcnemar_alpha, evidence.theirs
    if alpha is None or theirs is None or not evidence.comparable:
        return []
    truth = evidence.test.labels >= THRESHOLD
    own, other = ((scores >= THRESHOLD) == truth for scores in (evidence.own.scores, theirs.scores))
    lost, won = int((other & ~own).sum()), int((own & ~other).sum())
    if evidence.clusters is None:
        chance, drawn = mcnemar(lost, won), ""
    else:
        surplus = np.bincount(evidence.clusters, weights=other.astype(np.float64) - own).astype(np.float64)
        chance, drawn = mcnemar_by_clusters(surplus), f" over {evidence.units} {evidence.use_case.gates.resample}s"
    worse = chance < alpha
    detail = (
        f"{lost:,} labels wrong that the champion has right, {won:,} right that it has wrong: "
        f"McNemar{drawn} p {chance:.3g} {'<' if worse else '≥'} {alpha:g}"
    )
    figures = {"only_champion_right": lost, "only_candidate_right": won, "p": chance, "alpha": alpha}
    return [Check(name="labels no worse", passed=not worse, detail=detail, figures=figures)]


def mcnemar(lost: int, won: int) -> float:
    """Return how likely at least so many losses are among the pairs in which the two differ, if both are as good.

    Args:
        lost: Rows that only the champion has right.
        won: Rows that only the candidate has right.

    Source: McNemar, Note on the sampling error of the difference between correlated proportions, 1947; with Edwards'
        correction for continuity, 1948; one-sided. For few pairs the exact binomial.
    """
    pairs = lost + won
    if pairs == 0:
        return 1.0
    if pairs < _FEW_PAIRS:
        return sum(math.comb(pairs, count) for count in range(lost, pairs + 1)) * 0.5**pairs
    return NormalDist().cdf(-(lost - won - 1) / math.sqrt(pairs))


def mcnemar_by_clusters(surplus: Vector) -> float:
    """Return McNemar's chance where the rows of a cluster go together, one-sided.

    Args:
        surplus: Of each cluster, how many more rows only the champion has right than only the candidate, shape
            (n_clusters,).

    Source: Student, The probable error of a mean, 1908: of the clusters' surplus, which is McNemar's of single rows.
    """
    from scipy.special import stdtr

    units, mean = len(surplus), float(surplus.mean())
    if units < 2 or mean <= 0:
        return 1.0
    error = float(surplus.std(ddof=1)) / math.sqrt(units)
    # Where all are the same there is no spread to measure with: the sign test is left.
    return float(stdtr(units - 1, -mean / error)) if error > 0 else 0.5**units
