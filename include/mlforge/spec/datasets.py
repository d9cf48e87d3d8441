"""`datasets`: sources with their contracts."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from mlforge.spec.base import Fraction, SpecModel
from mlforge.spec.sources import Source


class Policy(SpecModel):
    """What becomes of data that is not as its contract says.

    Attributes:
        broken_rows: `fail`: no row may break a rule. `quarantine`: such rows are set aside, up to a share. `warn`:
            they are published and told of, as is a partition that breaks a rule as a whole; only rows that the
            warehouse cannot hold (no value where one is required, a key that comes twice) are set aside.
        quarantine_up_to: Share of a partition's distinct rows that may be set aside; more fails it.
        extra_columns: What a column that the contract does not name leads to; it is never published, whatever is said.
    """

    broken_rows: Literal["fail", "quarantine", "warn"] = "fail"
    quarantine_up_to: Fraction = 0.0
    extra_columns: Literal["ignore", "warn", "fail"] = "warn"

    @model_validator(mode="after")
    def _share_has_a_use(self) -> Self:
        if self.quarantine_up_to and self.broken_rows == "fail":
            raise ValueError("quarantine_up_to needs broken_rows: quarantine or warn")
        return self


class Dataset(SpecModel):
    """One source with its contract.

    Attributes:
        event_timestamp: SQL over the contract's columns: when the row's event happened.
        known_at: SQL over the contract's columns: from when on the whole row may be used.
        policy: What becomes of rows, partitions and columns that are not as the contract says.
    """

    contract: str
    source: Source
    event_timestamp: str
    known_at: str
    policy: Policy = Policy()

    @property
    def partitioned(self) -> bool:
        """Whether it comes in daily partitions; a static dataset comes whole."""
        return self.source.partition_column is not None
