"""Envoy's listener, routes and clusters, as plain values: rendering only, nothing is read or written here.

The listener never changes: keys that were revoked and releases that come and go are the route table's matter, and a
new route table disturbs no connection.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROUTES = "releases"
KEY_HEADER = "x-api-key"
NAME_HEADER = "x-mlforge-key"
LARGEST_BODY = 1 << 20
PREDICT_SECONDS = 10
CLOCK_SKEW_SECONDS = 1  # 0 would mean the default, 60
_TYPE = "type.googleapis.com/envoy"
_HTTP = f"{_TYPE}.extensions.filters.http"
_JSON = [{"header": {"key": "content-type", "value": "application/json"}}]
_REFUSALS = {
    401: ("x-api-key", "no valid API key: %LOCAL_REPLY_BODY%"),
    403: ("x-api-key", "this API key may not do that"),
    413: ("body", "the body is larger than 1 MB"),
    408: (None, "the request did not come in time"),
    503: (None, "the release's server cannot be reached, or has too much to do"),
    504: (None, "the release's server did not answer in time"),
}


@dataclass(frozen=True, order=True)
class Backend:
    """A release's server.

    Attributes:
        weight: Its share of the use case's requests against the others'; 0 means that it is only known.
    """

    use_case: str
    release_id: int
    host: str
    port: int
    weight: int = 100

    @property
    def cluster(self) -> str:
        """Envoy's name of it."""
        return f"release_{self.release_id}"


def listener(host: str, port: int, folder: Path, key_set: str) -> dict[str, Any]:
    """Return the gateway's listener.

    Args:
        host: Address to listen on.
        port: TCP port to listen on.
        folder: Where `rds.yaml` lies.
        key_set: Public keys as a JSON Web Key Set.
    """
    manager = {
        "@type": f"{_TYPE}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "gateway",
        "server_name": "mlforge",
        "use_remote_address": True,
        "normalize_path": True,
        "merge_slashes": True,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        "generate_request_id": False,
        "common_http_protocol_options": {"idle_timeout": "300s"},
        "request_timeout": "30s",
        "request_headers_timeout": "10s",
        "stream_idle_timeout": "60s",
        "rds": {
            "route_config_name": ROUTES,
            "config_source": {
                "path_config_source": {"path": str(folder / "rds.yaml"), "watched_directory": {"path": str(folder)}},
                "resource_api_version": "V3",
            },
        },
        "http_filters": _filters(key_set),
        "local_reply_config": {"mappers": [_refusal(*item) for item in _REFUSALS.items()]},
    }
    return {
        "@type": f"{_TYPE}.config.listener.v3.Listener",
        "name": "gateway",
        "address": _address(host, port),
        "per_connection_buffer_limit_bytes": LARGEST_BODY + (1 << 16),
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }


def _filters(key_set: str) -> list[dict[str, Any]]:
    provider = {
        "issuer": "mlforge",
        "audiences": ["gateway"],
        "require_expiration": True,
        # Envoy would take an expired key for a minute more; one machine's clock needs no such grace.
        "clock_skew_seconds": CLOCK_SKEW_SECONDS,
        "from_headers": [{"name": KEY_HEADER}],
        "forward": False,
        "local_jwks": {"inline_string": key_set},
        "payload_in_metadata": "key",
        "claim_to_headers": [{"header_name": NAME_HEADER, "claim_name": "sub"}],
    }
    check_key = {
        "@type": f"{_HTTP}.jwt_authn.v3.JwtAuthentication",
        "providers": {"mlforge": provider},
        "requirement_map": {"key": {"provider_name": "mlforge"}},
    }
    limit = {"@type": f"{_HTTP}.buffer.v3.Buffer", "max_request_bytes": LARGEST_BODY}
    return [
        {"name": "envoy.filters.http.jwt_authn", "typed_config": check_key},
        {"name": "envoy.filters.http.rbac", "typed_config": {"@type": f"{_HTTP}.rbac.v3.RBAC"}},
        {"name": "envoy.filters.http.buffer", "typed_config": limit},
        {"name": "envoy.filters.http.router", "typed_config": {"@type": f"{_HTTP}.router.v3.Router"}},
    ]


def _refusal(status: int, said: tuple[str | None, str]) -> dict[str, Any]:
    field, message = said
    return {
        "filter": {
            "status_code_filter": {
                "comparison": {"op": "EQ", "value": {"default_value": status, "runtime_key": f"refusal.{status}"}}
            }
        },
        "body_format_override": {"json_format": {"error": {"field": field, "message": message}}},
    }


def routes(backends: Sequence[Backend], revoked: Sequence[str]) -> dict[str, Any]:
    """Return the route table.

    Args:
        backends: Servers; those with a weight take requests.
        revoked: Ids of keys that are refused.
    """
    by_use_case: dict[str, list[Backend]] = {}
    for backend in backends:
        if backend.weight > 0:
            by_use_case.setdefault(backend.use_case, []).append(backend)
    table: list[dict[str, Any]] = [_answer({"path": "/healthz"}, 200, '{"status": "ok"}')]
    for name, servers in sorted(by_use_case.items()):
        table += _use_case_routes(name, sorted(servers), revoked)
    table.append(_answer({"prefix": "/"}, 404, '{"error": {"field": null, "message": "there is no such path"}}'))
    return {
        "@type": f"{_TYPE}.config.route.v3.RouteConfiguration",
        "name": ROUTES,
        "virtual_hosts": [{"name": ROUTES, "domains": ["*"], "routes": table}],
    }


def _answer(match: Mapping[str, str], status: int, body: str) -> dict[str, Any]:
    answer = {"status": status, "body": {"inline_string": body}}
    return {"match": dict(match), "direct_response": answer, "response_headers_to_add": _JSON}


def _use_case_routes(name: str, servers: Sequence[Backend], revoked: Sequence[str]) -> list[dict[str, Any]]:
    guard = _guard(f"{name}:predict", revoked)
    return [
        _route(f"/{name}/predict", "/predict", "POST", servers, guard),
        _route(f"/{name}/info", "/info", "GET", servers, guard),
        # What the API looks like is no secret; a browser cannot send a key.
        _route(f"/{name}/docs.json", "/openapi.json", "GET", servers, None),
        _route(f"/{name}/docs", "/docs", "GET", servers, None),
        _answer({"path": f"/{name}/predict"}, 405, '{"error": {"field": null, "message": "send a POST request"}}'),
    ]


def _route(
    path: str, target: str, method: str, servers: Sequence[Backend], guard: dict[str, Any] | None
) -> dict[str, Any]:
    action: dict[str, Any] = {
        **_destination(servers),
        "regex_rewrite": {"pattern": {"regex": "^[^?]*"}, "substitution": target},
        "timeout": f"{PREDICT_SECONDS}s",
        # Only what the server never saw is sent again.
        "retry_policy": {"retry_on": "connect-failure,refused-stream,reset-before-request", "num_retries": 2},
    }
    match = {"path": path, "headers": [{"name": ":method", "string_match": {"exact": method}}]}
    route: dict[str, Any] = {"match": match, "route": action}
    if guard is not None:
        return {**route, "typed_per_filter_config": guard}
    return {**route, "request_headers_to_remove": [NAME_HEADER]}


def _destination(servers: Sequence[Backend]) -> dict[str, Any]:
    if len(servers) == 1:
        return {"cluster": servers[0].cluster}
    return {"weighted_clusters": {"clusters": [{"name": item.cluster, "weight": item.weight} for item in servers]}}


def _guard(scope: str, revoked: Sequence[str]) -> dict[str, Any]:
    allowed: dict[str, Any] = _claim("scope", {"list_match": {"one_of": {"string_match": {"exact": scope}}}})
    if revoked:
        named = [_claim("jti", {"string_match": {"exact": key_id}}) for key_id in revoked]
        allowed = {"and_ids": {"ids": [allowed, {"not_id": {"or_ids": {"ids": named}}}]}}
    policy = {"permissions": [{"any": True}], "principals": [allowed]}
    rules = {"action": "ALLOW", "policies": {"scope": policy}}
    return {
        "envoy.filters.http.jwt_authn": {"@type": f"{_HTTP}.jwt_authn.v3.PerRouteConfig", "requirement_name": "key"},
        "envoy.filters.http.rbac": {"@type": f"{_HTTP}.rbac.v3.RBACPerRoute", "rbac": {"rules": rules}},
    }


def _claim(name: str, value: dict[str, Any]) -> dict[str, Any]:
    path = [{"key": "key"}, {"key": name}]
    return {"metadata": {"filter": "envoy.filters.http.jwt_authn", "path": path, "value": value}}


def cluster(backend: Backend) -> dict[str, Any]:
    """Return the cluster of a release's server."""
    endpoint = {"endpoint": {"address": _address(backend.host, backend.port)}}
    limits = {"max_connections": 256, "max_pending_requests": 512, "max_requests": 512, "max_retries": 16}
    return {
        "@type": f"{_TYPE}.config.cluster.v3.Cluster",
        "name": backend.cluster,
        "type": "STATIC" if _is_address(backend.host) else "STRICT_DNS",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": backend.cluster, "endpoints": [{"lb_endpoints": [endpoint]}]},
        "circuit_breakers": {"thresholds": [limits]},
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": f"{_TYPE}.extensions.upstreams.http.v3.HttpProtocolOptions",
                # Shorter than the server keeps a connection, so that it is never closed under a request.
                "common_http_protocol_options": {"idle_timeout": "30s"},
                "explicit_http_config": {"http_protocol_options": {}},
            }
        },
    }


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _address(host: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}
