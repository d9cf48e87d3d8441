"""What a stage reads and writes: datasets with their facets, made from the refs that pass between stages.

A dataset is named by what lasts (a table, a folder of partitions, a model); the partition is its version. Staging is
left out: it lives between two tasks only, so publishing reads the raw file and writes the warehouse.
"""

from __future__ import annotations

from collections.abc import Callable

from mlforge.lineage import facets
from mlforge.lineage.data_stages import (
    describe_assemble,
    describe_build_features,
    describe_check,
    describe_create_version,
    describe_extract,
    describe_materialize,
    describe_publish,
)
from mlforge.lineage.model_stages import (
    describe_alert,
    describe_drift,
    describe_evaluate,
    describe_gate,
    describe_join_outcomes,
    describe_package,
    describe_promote,
    describe_roll_out,
    describe_train,
    describe_verify,
)
from mlforge.lineage.work import StageLineage, Work
from mlforge.refs import code_version

__all__ = ["StageLineage", "Work", "describe_stage"]


def describe_stage(work: Work) -> StageLineage:
    """Return what a stage reads and writes; before its end only what is known without looking anything up."""
    lineage = StageLineage()
    lineage.job_facets |= facets.job_ownership(work.use_case.owner) | facets.code_location(work.use_case)
    text = _sql(work)
    if text:
        lineage.job_facets |= facets.sql_job(text)
    if work.days is not None:
        code = code_version(work.use_case.folder)
        lineage.run_facets |= facets.partition_run(work.use_case.name, work.days, code)
    describe = _DESCRIBE.get(work.stage)
    if describe is not None:
        describe(work, lineage)
    return lineage


def _sql(work: Work) -> str:
    use_case = work.use_case
    if work.stage == "build-features":
        texts = [(f"features/{view}.sql", use_case.sql(f"features/{view}.sql")) for view in use_case.features]
        return "\n\n".join(f"-- {path}\n{text.strip()}" for path, text in texts)
    if work.stage in ("assemble", "assemble-partition"):
        return use_case.sql(use_case.training.spine).strip()
    return ""


_DESCRIBE: dict[str, Callable[[Work, StageLineage], None]] = {
    "extract": describe_extract,
    "check": describe_check,
    "publish": describe_publish,
    "build-features": describe_build_features,
    "materialize": describe_materialize,
    "assemble": describe_assemble,
    "assemble-partition": describe_assemble,
    "plan-search": describe_train,
    "run-trials": describe_train,
    "choose": describe_train,
    "train": describe_train,
    "evaluate": describe_evaluate,
    "gate": describe_gate,
    "promote": describe_promote,
    "package": describe_package,
    "verify": describe_verify,
    "roll-out": describe_roll_out,
    "join-outcomes": describe_join_outcomes,
    "drift": describe_drift,
    "alert": describe_alert,
    "create-version": describe_create_version,
}
