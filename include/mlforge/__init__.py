"""MLForge: a model's whole life, from a source to a drift report, as plain functions."""

__version__ = "0.1.0"
