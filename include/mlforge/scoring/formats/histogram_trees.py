"""The trees of scikit-learn's histogram boosting, read in one step for a row.

`decision_function` takes about 5 ms for a row: it prepares the columns again and goes from tree to tree. Here the codes
of the categories are taken as they are, and a row goes through all trees at once, as one row per tree through a tree
that chooses among them. The leaves are the same, and they are added in the same order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from mlforge.errors import TerminalError
from mlforge.scoring.description import Matrix, Vector
from mlforge.spec.task import Task

# So few rows go through the joined trees; more of them go from tree to tree.
_FEW = 8


@dataclass(frozen=True)
class HistogramTrees:
    """Boosted trees of scikit-learn.

    Attributes:
        trees: Nodes of each tree, in the order of boosting.
        bitsets: Categories that go left, of each tree.
        known: Categories that fitting has seen, per categorical column.
        places: Column of the trees → its place in `known`.
        order: Columns of the matrix in the order of the trees: categories first.
        base: The score before the first tree.
        link: From the trees' sum to a regression's value.
    """

    trees: Sequence[NDArray[Any]]
    bitsets: Sequence[NDArray[np.uint32]]
    known: NDArray[np.uint32]
    places: NDArray[np.uint32]
    order: NDArray[np.intp]
    base: float
    link: Any

    @classmethod
    def of(cls, estimator: Any) -> Self | None:
        """Return the trees of a fitted estimator, None if it is of another kind.

        Raises:
            TerminalError: A tree points beyond its nodes or columns.
        """
        if not type(estimator).__module__.startswith("sklearn.ensemble._hist_gradient_boosting."):
            return None
        if estimator.n_trees_per_iteration_ != 1 or not _takes_codes(estimator):
            return None
        known, places = estimator._bin_mapper.make_known_categories_bitsets()
        categorical = estimator.is_categorical_
        count = int(estimator.n_features_in_)
        chosen = np.zeros(count, dtype=bool) if categorical is None else categorical
        trees = [iteration[0] for iteration in estimator._predictors]
        found = cls(
            trees=[tree.nodes for tree in trees],
            bitsets=[tree.raw_left_cat_bitsets for tree in trees],
            known=known,
            places=places,
            order=np.concatenate([np.flatnonzero(chosen), np.flatnonzero(~chosen)]),
            base=float(np.ravel(estimator._baseline_prediction)[0]),
            link=estimator._loss.link,
        )
        for nodes, bitsets in zip(found.trees, found.bitsets, strict=True):
            _require_bounds(nodes, count, len(bitsets), len(known), places)
        return found

    @property
    def n_features(self) -> int:
        """Columns of the matrix that the trees read."""
        return len(self.order)

    def raw_scores(self, matrix: Matrix, task: Task) -> Vector:
        """Return the scores before calibration, shape (n_rows,)."""
        rows = matrix[:, self.order].astype(np.float64)
        raw = self._row_by_row(rows) if len(rows) <= _FEW else self._tree_by_tree(rows)
        if task == "classification":
            return raw
        values: Vector = self.link.inverse(raw)
        return values

    def contributions(self, matrix: Matrix) -> Matrix | None:
        """Return None: scikit-learn has no SHAP values."""
        return None

    @property
    def gains(self) -> list[float]:
        """What each column of the matrix earned in all splits."""
        earned = np.zeros(self.n_features)
        for nodes in self.trees:
            inner = nodes[nodes["is_leaf"] == 0]
            np.add.at(earned, self.order[inner["feature_idx"]], inner["gain"])
        gains: list[float] = earned.tolist()
        return gains

    def _tree_by_tree(self, rows: Vector) -> Vector:
        scores = np.full(len(rows), self.base)
        for nodes, bitsets in zip(self.trees, self.bitsets, strict=True):
            scores += _leaves(nodes, rows, bitsets, self.known, self.places)
        return scores

    def _row_by_row(self, rows: Vector) -> Vector:
        """Return the same sums: `cumsum` adds from the first to the last, as the loop over the trees does."""
        nodes, bitsets = self._joined
        count = len(self.trees)
        copies = np.empty((count, self.n_features + 1))
        copies[:, -1] = np.arange(count)
        places = np.append(self.places, np.uint32(0))
        scores = np.empty(len(rows))
        for place, row in enumerate(rows):
            copies[:, :-1] = row
            leaves = _leaves(nodes, copies, bitsets, self.known, places)
            scores[place] = np.cumsum(np.concatenate([[self.base], leaves]))[-1]
        return scores

    @cached_property
    def _joined(self) -> tuple[NDArray[Any], NDArray[np.uint32]]:
        """All trees below one that chooses by the number in the last column."""
        chooser: list[tuple[int, int, int]] = []  # middle, then the places of the two sides

        def choose(first: int, last: int) -> int:
            """Return the place of what leads to the trees from first to last; ~n for the root of tree n."""
            if first == last:
                return ~first
            own = len(chooser)
            chooser.append((0, 0, 0))
            middle = (first + last) // 2
            chooser[own] = (middle, choose(first, middle), choose(middle + 1, last))
            return own

        choose(0, len(self.trees) - 1)
        starts = len(chooser) + np.cumsum([0, *(len(nodes) for nodes in self.trees[:-1])])
        top = np.zeros(len(chooser), dtype=self.trees[0].dtype)
        for own, (middle, *sides) in enumerate(chooser):
            left, right = (int(starts[~side]) if side < 0 else side for side in sides)
            top[own]["feature_idx"], top[own]["num_threshold"] = self.n_features, middle
            top[own]["left"], top[own]["right"] = left, right
        moved, taken = [], 0
        for nodes, start, bitsets in zip(self.trees, starts, self.bitsets, strict=True):
            own_nodes = nodes.copy()
            inner = own_nodes["is_leaf"] == 0
            own_nodes["left"][inner] += np.uint32(start)
            own_nodes["right"][inner] += np.uint32(start)
            own_nodes["bitset_idx"] += np.uint32(taken)
            taken += len(bitsets)
            moved.append(own_nodes)
        return np.concatenate([top, *moved]), np.ascontiguousarray(np.concatenate(self.bitsets))


def _leaves(
    nodes: NDArray[Any],
    rows: Vector,
    bitsets: NDArray[np.uint32],
    known: NDArray[np.uint32],
    places: NDArray[np.uint32],
) -> Vector:
    from sklearn.ensemble._hist_gradient_boosting._predictor import _predict_from_raw_data

    values = np.empty(len(rows))
    _predict_from_raw_data(nodes, rows, bitsets, known, places, 1, values)
    return values


def _takes_codes(estimator: Any) -> bool:
    """Return whether the estimator's categories are the codes 0, 1, 2, … themselves, as MLForge fits them."""
    if estimator._preprocessor is None:
        return True
    encoder = estimator._preprocessor.named_transformers_["encoder"]
    seen = [codes[~np.isnan(codes)] for codes in encoder.categories_]
    return all((codes == np.arange(len(codes))).all() for codes in seen)


def _require_bounds(nodes: NDArray[Any], columns: int, bitsets: int, known: int, places: NDArray[np.uint32]) -> None:
    inner = nodes[nodes["is_leaf"] == 0]
    categorical = inner[inner["is_categorical"] != 0]
    own = np.arange(len(nodes))[nodes["is_leaf"] == 0]
    fits = (
        len(nodes) > 0
        and len(places) >= columns
        and ((inner["feature_idx"] >= 0) & (inner["feature_idx"] < columns)).all()
        # Children come after their parents: no way leads round in a circle.
        and ((inner["left"] > own) & (inner["right"] > own)).all()
        and ((inner["left"] < len(nodes)) & (inner["right"] < len(nodes))).all()
        and (categorical["bitset_idx"] < bitsets).all()
        and (places[categorical["feature_idx"]] < max(known, 1)).all()
    )
    if not fits:
        raise TerminalError("a tree of the model points beyond its nodes or columns", hint="download it again")
