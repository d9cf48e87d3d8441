"""Serving: a release is packaged as a bento, verified without traffic, and rolled out behind the gateway."""

from mlforge.serving.gateway import refresh_gateway
from mlforge.serving.keys import demo_key, issue_key, list_keys, revoke_key
from mlforge.serving.package import package_release
from mlforge.serving.rollout import restore_deployments, roll_out_release
from mlforge.serving.server import server_process
from mlforge.serving.trace import trace_receipt
from mlforge.serving.verify import verify_release

__all__ = [
    "demo_key",
    "issue_key",
    "list_keys",
    "package_release",
    "refresh_gateway",
    "restore_deployments",
    "revoke_key",
    "roll_out_release",
    "server_process",
    "trace_receipt",
    "verify_release",
]
