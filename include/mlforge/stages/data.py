"""Source → FeaturePartition: the arrows of the data chain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlforge.ingest.releases import RowRelease
    from mlforge.refs import CheckedPartition, FeaturePartition, PublishedPartition, RawPartition
    from mlforge.stages.run import StageRun


def extract(run: StageRun) -> RawPartition:
    """Land the source's rows as a file."""
    from mlforge.ingest import extract_partition

    return extract_partition(run.use_case, run.dataset, run.days)


def check(run: StageRun, raw: RawPartition) -> CheckedPartition:
    """Check the rows against their contract; what was released from quarantine before is honoured."""
    from mlforge.contracts import check_partition
    from mlforge.ingest.releases import apply_releases
    from mlforge.ingest.waivers import waive_released

    return waive_released(run.use_case, check_partition(run.use_case, apply_releases(run.use_case, raw)))


def release_quarantined(run: StageRun, releases: Sequence[RowRelease]) -> PublishedPartition:
    """Publish a partition anew with rows that a person let out of quarantine.

    Raises:
        TerminalError: A row still breaks its contract; nothing is released.
        StaleAttemptError: A newer attempt has claimed the partition twice; the next one honours the releases.
    """
    from mlforge.contracts import check_partition
    from mlforge.errors import StaleAttemptError
    from mlforge.ingest.releases import published_raw, record_releases, replace_rows
    from mlforge.ingest.waivers import require_fixed, waive_released

    def attempt(*, record: bool) -> PublishedPartition:
        raw = published_raw(run.use_case, run.dataset, run.use_case.dataset_key(run.dataset, run.days))
        raw = replace_rows(run.use_case, raw, [each for each in releases if each.fixed is not None])
        checked = waive_released(run.use_case, check_partition(run.use_case, raw), releases)
        require_fixed(run.use_case, checked, releases)
        if record:
            # Before publication: an attempt that comes in between honours them already.
            record_releases(run.use_case, run.dataset, releases, who=run.who, why=run.why)
        return publish(run, checked)

    try:
        return attempt(record=True)
    except StaleAttemptError:
        return attempt(record=False)


def publish(run: StageRun, checked: CheckedPartition) -> PublishedPartition:
    """Publish the rows that keep their contract."""
    from mlforge.ingest import publish_partition

    return publish_partition(run.use_case, checked, run_id=run.run_id)


def build_features(run: StageRun) -> FeaturePartition:
    """Compute the feature views of the days."""
    from mlforge.features import build_features as build

    return build(run.use_case, run.days, run_id=run.run_id)


def stale_keys(run: StageRun) -> list[str]:
    """Name the partitions built before whose input has changed, but for those of the run itself."""
    from mlforge.features.stale import refreshable_keys

    return refreshable_keys(run.use_case, without=run.days.keys)


def materialize(run: StageRun, built: FeaturePartition) -> FeaturePartition:
    """Write the features to the online store."""
    from mlforge.features import materialize_features

    return materialize_features(run.use_case, built, run_id=run.run_id)
