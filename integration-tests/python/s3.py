"""Servers that speak S3, and suites that keep their files in one.

Neither is a store that anybody would run. `stand_in` is s3s over a folder: it holds clients to their signatures and
digests. `moto` is another implementation, by other people, that is looser with both (it takes any secret) and knows more
of S3 otherwise. What works with both rests on neither's slips.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
import pytest
from botocore.config import Config

from suite import Suite

BUCKET = "artifacts"
PREFIX = "cairn"
KEY, SECRET = "access", "secret"

MOTO = """
import threading
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print("http://%s:%s" % server.get_host_and_port(), flush=True)
threading.Event().wait()
"""


class Store:
    """A running S3 with one bucket."""

    def __init__(self, endpoint: str):
        self.endpoint = endpoint
        path = Config(s3={"addressing_style": "path"})
        self.s3 = boto3.client("s3", endpoint_url=endpoint, aws_access_key_id=KEY, aws_secret_access_key=SECRET,
                               region_name="us-east-1", config=path)

    @property
    def settings(self) -> dict[str, str]:
        """What tells a suite to keep its files here."""
        return {"CAIRN__OBJECTS__URL": f"s3://{BUCKET}/{PREFIX}", "MINIO_ENDPOINT": self.endpoint,
                "MINIO_ACCESS_KEY": KEY, "MINIO_SECRET_KEY": SECRET}

    def objects(self) -> dict[str, bytes]:
        """All that lies in the bucket, asked for past Cairn."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
        return {key: self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys}


@contextmanager
def stand_in(cairn: Path, folder: Path) -> Iterator[Store]:
    """s3s over a folder."""
    server = cairn.parent / "examples" / "s3_server"
    if not server.exists():
        pytest.fail(f"{server} is missing: run `make test-python`")
    with started([server, folder / "store", BUCKET]) as endpoint:
        yield Store(endpoint)


@contextmanager
def moto(_cairn: Path, _folder: Path) -> Iterator[Store]:
    """moto in a process of its own, in memory."""
    with started([sys.executable, "-c", MOTO]) as endpoint:
        store = Store(endpoint)
        store.s3.create_bucket(Bucket=BUCKET)
        yield store


PEERS = {"stand-in": stand_in, "moto": moto}


@contextmanager
def started(command: list) -> Iterator[str]:
    """The address of a server that says it when it listens. It is ended afterwards."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        endpoint = process.stdout.readline().strip()
        assert endpoint, f"{command[0]} did not start"
        yield endpoint
    finally:
        process.kill()
        process.wait()


@contextmanager
def over_s3(cairn: Path, folder: Path, peer=stand_in, **settings: str) -> Iterator[Suite]:
    """A suite that keeps its files in an S3 of its own."""
    with peer(cairn, folder) as store, Suite(cairn, folder / "data", {**store.settings, **settings}) as running:
        yield running
