"""A stage at one moment of its task, and what is told about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mlforge.lineage import facets
from mlforge.lineage.names import DatasetName
from mlforge.refs import PartitionRange, Ref

if TYPE_CHECKING:
    from openlineage.client.event_v2 import InputDataset, OutputDataset
    from openlineage.client.facet_v2 import JobFacet, RunFacet

    from mlforge.spec import UseCase


@dataclass(frozen=True)
class Work:
    """A stage at one moment of its task.

    Attributes:
        stage: Its name in `mlforge.stages.STAGES`.
        use_case: The use case.
        days: Its partitions, once they are known.
        given: The ref that it takes.
        result: The ref that it returned; none before its end, and for a stage that returns none.
        done: Whether it has come to its end.
        failed: Whether that end was an error.
    """

    stage: str
    use_case: UseCase
    days: PartitionRange | None = None
    given: Ref | None = None
    result: Ref | None = None
    done: bool = False
    failed: bool = False


@dataclass
class StageLineage:
    """What is told about a stage's run."""

    inputs: list[InputDataset] = field(default_factory=list)
    outputs: list[OutputDataset] = field(default_factory=list)
    job_facets: dict[str, JobFacet] = field(default_factory=dict)
    run_facets: dict[str, RunFacet] = field(default_factory=dict)

    def read(
        self, name: DatasetName, about: Mapping[str, Any] | None = None, quality: Mapping[str, Any] | None = None
    ) -> None:
        """Add an input with its facets."""
        from openlineage.client.event_v2 import InputDataset

        facets_of = {**facets.source(name), **(about or {})}
        self.inputs.append(InputDataset(name.namespace, name.name, facets=facets_of, inputFacets=dict(quality or {})))

    def write(
        self, name: DatasetName, about: Mapping[str, Any] | None = None, statistics: Mapping[str, Any] | None = None
    ) -> None:
        """Add an output with its facets."""
        from openlineage.client.event_v2 import OutputDataset

        facets_of = {**facets.source(name), **(about or {})}
        self.outputs.append(
            OutputDataset(name.namespace, name.name, facets=facets_of, outputFacets=dict(statistics or {}))
        )
