"""One repair of Feast itself: a view that is copied keeps its version.

Feast 0.67 copies each view of a feature service before it reads it, and the copy forgets the version's number: a
changed view is then read from the rows of version 0, silently. The stores import this, so that `feast` itself is right.
"""

from __future__ import annotations

from feast import FeatureView

_copy = FeatureView.__copy__


def _copy_with_version(view: FeatureView) -> FeatureView:
    copied = _copy(view)
    copied.current_version_number = view.current_version_number
    return copied


def repair_copies() -> None:
    """Let copies of feature views keep their version; a second call changes nothing."""
    FeatureView.__copy__ = _copy_with_version
