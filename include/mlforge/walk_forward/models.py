"""Models of a walk: trained on rows as of a week, kept in storage, unknown to any registry."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Literal

from mlforge import storage
from mlforge.examples import label_examples
from mlforge.features import steps
from mlforge.fingerprints import fingerprints
from mlforge.refs import code_version
from mlforge.scoring import FORMATS, ModelDescription, ScoringModel
from mlforge.spec import UseCase
from mlforge.spec.module import load_model_module
from mlforge.training.fitting import fit_model
from mlforge.training.search.cores import cores_found
from mlforge.walk_forward import ledger
from mlforge.walk_forward.ledger import ModelRecord
from mlforge.walk_forward.rows import WalkRows
from mlforge.walk_forward.weeks import Week, schedule_start

if TYPE_CHECKING:
    import pyarrow as pa

Window = Literal["expanding", "sliding"]
_CODE = ("settings", "model", "library", "lock", "python", "platform")


class WalkModels:
    """Models of a use case as of a week; what this process has trained or assembled already is not done again.

    Args:
        use_case: Whose models.
        rows: Where their training rows come from.
        run_id: What the ledger notes as the run.
    """

    def __init__(self, use_case: UseCase, rows: WalkRows, *, run_id: str | None = None) -> None:
        self._use_case = use_case
        self._rows = rows
        self._run_id = run_id
        self._trained: dict[tuple[datetime, Week], ModelRecord] = {}

    def train_all(self, windows: Collection[Window], week: Week) -> None:
        """Train the models of several windows, as many at once as there are cores."""
        starts = {window_start(self._use_case, window, week): window for window in windows}
        with ThreadPoolExecutor(max_workers=cores_found()) as pool:
            # The libraries give the lock of Python free while they fit.
            list(pool.map(lambda window: self.train(window, week), starts.values()))

    def train(self, window: Window, week: Week) -> ModelRecord:
        """Return the model as of a week's first instant; it is trained unless the same one was trained before.

        Raises:
            FeatureError: There are no rows.
            TrainingError: They cannot give a model.
        """
        start = window_start(self._use_case, window, week)
        if (start, week) not in self._trained:
            self._trained[start, week] = self._train(start, week)
        return self._trained[start, week]

    def training_rows(self, model: ModelRecord) -> pa.Table:
        """Return the rows that a model was trained on."""
        return self._rows.assemble(model.window_start, model.as_of, model.as_of)

    def _train(self, start: datetime, week: Week) -> ModelRecord:
        use_case = self._use_case
        begun = time.perf_counter()
        table = self._rows.assemble(start, week.as_of, week.as_of)
        training_hash = hashlib.sha256(steps.training_set_bytes(table)).hexdigest()
        assembled = time.perf_counter()
        recipe = _recipe(use_case, training_hash)
        known = ledger.find_recipe(use_case.name, recipe)
        if known is not None:
            return known
        where = f"{use_case.name}, as of {week.key}"
        fitted = fit_model(use_case, label_examples(use_case, table, where))
        suffix = PurePosixPath(FORMATS[fitted.description.format].file).suffix
        uri, _ = storage.put_bytes(f"walk_forward/{use_case.name}/models", fitted.fitted.content, suffix)
        return ledger.record_model(
            {
                "use_case": use_case.name,
                "recipe": recipe,
                "as_of": week.as_of,
                "window_start": start,
                "training_hash": training_hash,
                "training_rows": table.num_rows,
                "model_hash": fitted.content_hash,
                "uri": uri,
                "description": fitted.description.model_dump(mode="json"),
                "metrics": fitted.metrics,
                "assemble_seconds": assembled - begun,
                "train_seconds": time.perf_counter() - assembled,
                "code_version": code_version(use_case.folder),
                "run_id": self._run_id,
            }
        )


def window_start(use_case: UseCase, window: Window, week: Week) -> datetime:
    """Return the first instant of a training window that ends with a week's beginning."""
    sliding = week.as_of - timedelta(days=use_case.training.window_days)
    return sliding if window == "sliding" else min(sliding, schedule_start(use_case))


def read_model(use_case: UseCase, model: ModelRecord) -> ScoringModel:
    """Return a model of a walk, ready to score.

    Raises:
        TerminalError: Its file is gone or is not what was stored.
    """
    load_model_module(use_case)
    description = ModelDescription.model_validate_json(json.dumps(model.description))
    content = storage.read_bytes(model.uri, content_hash=description.model_sha256)
    return ScoringModel.of(content, description, use_case.training.trusted_types)


def _recipe(use_case: UseCase, training_hash: str) -> str:
    """Return the hash of all that a model is made from."""
    made = fingerprints(use_case)
    parts = [training_hash, *(made[kind] for kind in _CODE)]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
