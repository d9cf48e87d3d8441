"""A training set as MLflow knows data: name, digest, address, columns; metrics name the part that they are of."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from mlforge.refs import TrainingSet
from mlforge.scoring import Feature

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlflow.entities import Dataset, DatasetInput

Context = Literal["training", "evaluation"]

_DIGEST_LENGTH = 32  # MLflow's column for a data set's digest is 36 characters wide.
_SUFFIX: dict[Context, str] = {"training": "", "evaluation": ", test days"}


def dataset_input(training_set: TrainingSet, context: Context, features: Sequence[Feature], rows: int) -> DatasetInput:
    """Return a part of a training set as input of a run.

    Args:
        training_set: The snapshot; its hash is the digest.
        context: What the part is for.
        features: Columns that the model takes.
        rows: Of the part.
    """
    from mlflow.entities import DatasetInput, InputTag

    return DatasetInput(_dataset(training_set, context, features, rows), [InputTag("mlflow.data.context", context)])


def _dataset(training_set: TrainingSet, context: Context, features: Sequence[Feature], rows: int) -> Dataset:
    from mlflow.entities import Dataset

    kinds = {"number": "float", "category": "string"}
    columns = [{"name": each.name, "type": kinds[each.kind], "required": False} for each in features]
    return Dataset(
        name=f"{training_set.use_case} as of {training_set.as_of:%Y-%m-%d}{_SUFFIX[context]}",
        digest=training_set.content_hash[:_DIGEST_LENGTH],
        source_type="s3" if urlsplit(training_set.uri).scheme == "s3" else "local",
        source=json.dumps({"uri": training_set.uri}),
        schema=json.dumps({"mlflow_colspec": columns}),
        profile=json.dumps({"num_rows": rows, "num_features": len(columns)}),
    )
