from __future__ import annotations

from mlforge.features.stores.offline import Lookup, Spine, join_query

SPINE = Spine("SELECT 1", ("key", "event_timestamp"), "event_timestamp")


def _lookup(ttl: int = 60, created: str | None = "known_at") -> Lookup:
    return Lookup("features.t", {"key": "key"}, {"f": "v__f"}, "event_timestamp", created, ttl)


def test_a_view_is_looked_up_once_per_row() -> None:
    query = join_query(SPINE, "spine", [_lookup(), _lookup()])
    assert query.count("LEFT JOIN LATERAL") == query.count("LIMIT 1") == 2
    assert query.endswith('ORDER BY e."__position"')


def test_what_was_known_later_is_excluded() -> None:
    assert 's."known_at" <= e."event_timestamp"' in join_query(SPINE, "spine", [_lookup()])
    assert "known_at" not in join_query(SPINE, "spine", [_lookup(created=None)])


def test_without_a_time_to_live_any_age_is_joined() -> None:
    assert "make_interval" not in join_query(SPINE, "spine", [_lookup(ttl=0)])


def test_names_are_quoted() -> None:
    lookup = Lookup("features.t", {'k"': 'k"'}, {"f": "v__f"}, "event_timestamp", None, 0)
    assert 's."k""" = e."k"""' in join_query(SPINE, "spine", [lookup])
