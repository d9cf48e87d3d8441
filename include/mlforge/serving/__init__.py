"""Serving: a release is packaged as a bento, verified without traffic, and rolled out behind the gateway.

Release → package_release → verify_release → roll_out_release → Deployment
"""

from mlforge.serving.package import package_release

__all__ = ["package_release"]
