"""Versions of feature views: a changed schema is a new version with online rows of its own.

A release reads what its plan froze. So a version is brought online as long as the champion, the release before it (to
which a rollback returns), or a deployed release reads it; afterwards it stays as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg

from mlforge.spec import UseCase

if TYPE_CHECKING:
    from feast import FeatureStore

# The newest plan of a bento counts; it says one version per view.
_IN_USE = """
WITH newest AS (
    SELECT release_id, bento, row_number() OVER (ORDER BY release_id DESC) AS place
    FROM ledger.releases WHERE use_case = %(use_case)s
), deployed AS (
    SELECT DISTINCT ON (release_id) release_id, state FROM ledger.deployments
    WHERE use_case = %(use_case)s ORDER BY release_id, deployment_id DESC
)
SELECT DISTINCT p.view, p.view_version
FROM newest AS n
LEFT JOIN deployed AS d USING (release_id)
JOIN ledger.feature_plans AS p USING (bento)
WHERE n.place <= 2 OR d.state IN ('packaged', 'starting', 'verified', 'live', 'draining')
"""


def versions_to_serve(
    connection: psycopg.Connection[Any], store: FeatureStore, use_case: UseCase, view: str
) -> list[Any]:
    """Return a view as it is registered now, then each older version that a release reads: Feast's objects.

    Raises:
        FeastObjectNotFoundException: The view is not registered.
    """
    current = store.get_feature_view(view)
    read = connection.execute(_IN_USE, {"use_case": use_case.name}).fetchall()
    older = sorted({version for name, version in read if name == view and version != version_of(current)}, reverse=True)
    return [current, *(store.registry.get_feature_view_by_version(view, store.project, version) for version in older)]


def version_of(view: Any) -> int:
    """Return the version number of a Feast view; one that was never changed is 0."""
    return int(view.current_version_number or 0)


def keep_versions(store: FeatureStore, declared: list[Any]) -> None:
    """Give declared views the version numbers that they have in the registry.

    Feast forgets the number of a view of which only the description changes: it would read the rows of version 0 again.
    """
    registered = {view.name: view for view in store.list_feature_views()}
    for view in declared:
        if view.name in registered:
            view.current_version_number = registered[view.name].current_version_number
