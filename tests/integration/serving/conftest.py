"""Supervised services for the serving tests: a gateway, and the servers of releases."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from mlforge.features import apply_features, close_store
from mlforge.services.environment import public_environment
from mlforge.services.programs import program
from mlforge.services.supervision import start_program
from mlforge.services.supervisord import start_supervisord, stop_supervisord
from mlforge.settings import Settings, get_settings
from mlforge.spec import UseCase, load_use_case


@pytest.fixture(scope="module")
def use_case() -> UseCase:
    """The shipped use case, which drains quickly."""
    shipped = load_use_case("flight_delays")
    quick = shipped.model_copy(update={"rollout": shipped.rollout.model_copy(update={"drain_seconds": 0.2})})
    quick._folder, quick._contracts = shipped._folder, shipped._contracts
    return quick


@pytest.fixture(scope="module")
def gateway(module_database: Settings, use_case: UseCase) -> Iterator[Settings]:
    """supervisord with a running Envoy, a feature registry, and ports of its own for release servers."""
    first = 20_000 + os.getpid() % 9_000
    os.environ["MLFORGE_SERVING_PORTS"] = f"{first}-{first + 50}"
    get_settings.cache_clear()
    settings = get_settings()
    try:
        apply_features(use_case)
        start_supervisord(public_environment(settings))
        start_program(program("gateway"))
        yield settings
    finally:
        stop_supervisord(seconds=90)
        close_store()
        del os.environ["MLFORGE_SERVING_PORTS"]
        get_settings.cache_clear()
