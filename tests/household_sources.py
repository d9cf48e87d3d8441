"""Some of the real households of 2017 in source files of a test's own, so that a whole use case takes seconds."""

from __future__ import annotations

from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

from mlforge.ingest.source import source_uri
from mlforge.spec import UseCase, load_use_case

WEEKS = "2017-01-02..2017-05-15"


def fewer_households(folder: Path, *, one_in: int = 8) -> UseCase:
    """Write every eighth household's rows to files; return the shipped use case that reads them and trains quickly."""
    shipped = load_use_case("household_spend")
    datasets = {}
    for name, dataset in shipped.datasets.items():
        path = folder / f"{name}.parquet"
        table = pq.read_table(source_uri(dataset.source))
        if "household_id" in table.column_names:
            number = table.column("household_id")
            table = table.filter(pc.equal(pc.subtract(number, pc.multiply(pc.divide(number, one_in), one_in)), 0))
        pq.write_table(table, path)
        source = dataset.source.model_copy(update={"path": str(path)})
        datasets[name] = dataset.model_copy(update={"source": source})
    training = shipped.training.model_copy(
        update={
            "window_days": 84,
            "minimum_rows": 1000,
            "parameters": {**shipped.training.parameters, "n_estimators": 120, "learning_rate": 0.1, "max_depth": 4},
        }
    )
    rollout = shipped.rollout.model_copy(update={"drain_seconds": 0.2})
    # A few hundred households are not all of them: chance alone moves their mean by a tenth.
    gates = shipped.gates.model_copy(update={"maximum_relative_bias": 0.4})
    smaller = shipped.model_copy(
        update={"datasets": datasets, "training": training, "rollout": rollout, "gates": gates}
    )
    smaller._folder, smaller._contracts = shipped._folder, shipped._contracts
    return smaller
