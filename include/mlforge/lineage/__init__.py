"""Lineage: where every dataset and every column comes from, by name, from the files of a use case and from its refs."""

from mlforge.lineage.build import build_graph, downstream_columns
from mlforge.lineage.graph import ColumnUse, LineageGraph

__all__ = ["ColumnUse", "LineageGraph", "build_graph", "downstream_columns"]
