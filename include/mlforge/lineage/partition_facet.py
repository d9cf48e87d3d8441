"""The run facet that is our own: for which partitions a run is. Its schema lies beside this file."""

from __future__ import annotations

import attr
from openlineage.client.generated.base import RunFacet

SCHEMA = "urn:mlforge:openlineage:PartitionRunFacet:1-0-0"


@attr.define
class PartitionRunFacet(RunFacet):
    """For which partitions a run is.

    Attributes:
        useCase: Name of the use case.
        partitionKey: A day, or a range of days.
        firstPartition: First day of the first partition.
        lastPartition: First day of the last partition.
        partitions: How many there are.
        codeVersion: Version of the code that computes them.
    """

    useCase: str  # noqa: N815  facets are written so
    partitionKey: str  # noqa: N815
    firstPartition: str  # noqa: N815
    lastPartition: str  # noqa: N815
    partitions: int
    codeVersion: str  # noqa: N815

    @staticmethod
    def _get_schema() -> str:
        return SCHEMA
