"""Dataset versions that hold the rows of a training set, as the ledger has them."""

from __future__ import annotations

import json
from typing import LiteralString

from mlforge import db
from mlforge.errors import ServiceUnavailableError
from mlforge.refs import TrainingSet

# The newest version that holds the training set itself, and per dataset the newest one with its newest publication.
_VERSIONS: LiteralString = """
    SELECT DISTINCT ON (dataset) dataset, use_case || '/' || dataset || '/' || version FROM ledger.dataset_versions
    WHERE use_case = %(use_case)s AND (
        training_set_hash = %(hash)s
        OR (kind = 'dataset' AND (%(publications)s::jsonb ->> dataset)::bigint = ANY(publication_ids))
    )
    ORDER BY dataset, number DESC
"""


def dataset_versions(training_set: TrainingSet) -> dict[str, str]:
    """Return dataset → name of the newest dataset version with its rows; `training-set` for the set itself.

    Nothing is said where the ledger does not answer: a run is worth more than a tag.
    """
    values = {
        "use_case": training_set.use_case,
        "hash": training_set.content_hash,
        "publications": json.dumps(training_set.publications),
    }
    try:
        with db.connect() as connection:
            return dict(connection.execute(_VERSIONS, values).fetchall())
    except ServiceUnavailableError:
        return {}
