"""An index in an object store, against moto's server. It is installed apart, for its pins do not go with ours:
``python -m venv .moto && .moto/bin/pip install "moto[server]"``; found there, on the PATH, or at $MOTO_SERVER."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fashionlib.shop.index import open_index

ROOT = Path(__file__).resolve().parents[2]
PLACES = [os.environ.get("MOTO_SERVER"), shutil.which("moto_server"), ROOT / ".moto" / "bin" / "moto_server"]
SERVER = next((str(place) for place in PLACES if place and Path(place).exists()), None)
pytestmark = pytest.mark.skipif(SERVER is None, reason="no moto_server: see the docstring of this file")
OF = {"dimension": 8, "model_id": "m", "attributes": ["kind"]}
VECTORS = np.random.default_rng(0).normal(size=(300, 8)).astype(np.float32)
IDS = [f"item {k}'\"\n" for k in range(300)]
KINDS = pd.DataFrame({"kind": ["a", "b' OR 1=1", "c"] * 100})


@pytest.fixture(scope="module")
def bucket():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    given = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y", "AWS_DEFAULT_REGION": "us-east-1"}
    given |= {"AWS_ENDPOINT": address, "AWS_ENDPOINT_URL": address, "AWS_ALLOW_HTTP": "true"}
    server = subprocess.Popen([SERVER, "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(120):
            try:
                urllib.request.urlopen(urllib.request.Request(f"{address}/shop", method="PUT"), timeout=5)
                break
            except OSError:
                time.sleep(0.5)
        with pytest.MonkeyPatch.context() as patch:
            for name, value in given.items():
                patch.setenv(name, value)
            yield "s3://shop"
    finally:
        server.kill()
        server.wait()


def asked_elsewhere(where: str) -> list[str]:
    """What another process finds there: how many items, and which is nearest to the first vector."""
    code = "import numpy as np, sys; from fashionlib.shop.index import open_index\n"
    code += f"index = open_index(sys.argv[1], **{OF!r}); vector = np.random.default_rng(0).normal(size=(300, 8))[:1]\n"
    code += "print(len(index)); print(repr(index.search(vector.astype(np.float32), k=1)['id'].item()))"
    done = subprocess.run([sys.executable, "-c", code, where], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_several_machines_share_an_index_in_an_object_store(bucket):
    where, exact = f"{bucket}/shared", open_index(None, **OF)
    exact.insert(IDS, VECTORS, KINDS)
    with open_index(where, **OF) as index:
        index.insert(IDS[:200], VECTORS[:200], KINDS[:200])
        assert asked_elsewhere(where) == ["200", repr(IDS[0])]
        index.insert(IDS[200:], VECTORS[200:], KINDS[200:].reset_index(drop=True))
        assert asked_elsewhere(where) == ["300", repr(IDS[0])]  # what was written meanwhile is seen
        for wanted in ({}, {"kind": ["b' OR 1=1"]}):
            found, right = (one.search(VECTORS[:20], k=5, where=wanted) for one in (index, exact))
            pd.testing.assert_frame_equal(found, right, check_exact=False, atol=1e-5)
        index.delete(IDS[:1])
        assert asked_elsewhere(where)[0] == "299"


def test_an_index_of_another_model_in_the_store_is_refused(bucket):
    with open_index(f"{bucket}/other", **OF):
        pass
    with pytest.raises(ValueError, match="model"):
        open_index(f"{bucket}/other", **OF | {"model_id": "another"})
