"""A real S3 server of a test's own: SeaweedFS on free ports of the loopback, in one folder, ended with the test."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from processes import die_with_parent, free_port, wait_until


@dataclass(frozen=True)
class ObjectStore:
    """A running S3 server.

    Attributes:
        url: Address of its API.
    """

    url: str
    access_key: str
    secret_key: str

    @property
    def environment(self) -> dict[str, str]:
        """What every S3 client reads: address and credentials."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def client(self) -> Any:
        """Return boto3's client."""
        import boto3

        return boto3.client(
            "s3",
            endpoint_url=self.url,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name="us-east-1",
        )

    def make_bucket(self, name: str) -> str:
        """Create a bucket and return its address, `s3://…`."""
        self.client().create_bucket(Bucket=name)
        return f"s3://{name}"


@contextmanager
def object_store(folder: Path) -> Iterator[ObjectStore]:
    """Give a running S3 server whose files lie in a folder."""
    store = ObjectStore(f"http://127.0.0.1:{free_port()}", secrets.token_hex(8), secrets.token_hex(16))
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            _command(store, folder), stdout=output, stderr=output, cwd=folder, preexec_fn=die_with_parent
        )
    try:
        wait_until(lambda: _answers(store, process, log), seconds=60)
        yield store
    finally:
        # Nothing of it is needed any more: its own orderly end takes half a minute.
        process.kill()
        process.wait(timeout=20)
        for socket in Path(tempfile.gettempdir()).glob("seaweedfs-*.sock"):
            if socket.stem.rsplit("-", 1)[1] in " ".join(map(str, process.args)):
                socket.unlink()


def _command(store: ObjectStore, folder: Path) -> list[str]:
    identity = {
        "name": "test",
        "credentials": [{"accessKey": store.access_key, "secretKey": store.secret_key}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    config = folder / "s3.json"
    config.write_text(json.dumps({"identities": [identity]}), encoding="utf-8")
    config.chmod(0o600)
    # Each part has a second port for gRPC, else it is the first plus 10,000, which may be beyond all ports.
    ports = {f"-{part}.port{kind}": free_port() for part in ("master", "volume", "filer") for kind in ("", ".grpc")}
    return [
        str(Path(sys.executable).with_name("weed")),
        "server",
        "-s3",
        f"-dir={folder}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        *(f"{name}={port}" for name, port in ports.items()),
        f"-s3.port={store.url.rsplit(':', 1)[1]}",
        f"-s3.port.grpc={free_port()}",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        # Relative to its folder: a socket's path may not be long.
        "-s3.localSocket=s3.sock",
        "-filer.localSocket=filer.sock",
        f"-s3.config={config}",
        "-volume.max=20",
        "-master.volumeSizeLimitMB=64",
        "-master.telemetry=false",
    ]


def _answers(store: ObjectStore, process: subprocess.Popen[bytes], log: Path) -> bool:
    from botocore.exceptions import BotoCoreError, ClientError

    if process.poll() is not None:
        raise RuntimeError(f"the S3 server has ended: {log.read_text(errors='replace')[-2000:]}")
    try:
        store.client().list_buckets()
    except (BotoCoreError, ClientError):
        return False
    return True
