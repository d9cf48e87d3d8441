"""`datasets`: sources with their contracts."""

from __future__ import annotations

from mlforge.spec.base import Fraction, SpecModel
from mlforge.spec.sources import Source


class Dataset(SpecModel):
    """One source with its contract.

    Attributes:
        event_timestamp: SQL over the contract's columns: when the row's event happened.
        known_at: SQL over the contract's columns: from when on the whole row may be used.
        quarantine_up_to: Share of rows that may break a rule and be set aside; more fails the partition.
    """

    contract: str
    source: Source
    event_timestamp: str
    known_at: str
    quarantine_up_to: Fraction = 0.0

    @property
    def partitioned(self) -> bool:
        """Whether it comes in daily partitions; a static dataset comes whole."""
        return self.source.partition_column is not None
