"""The download, with a stand-in for the hub behind the real client."""

import hashlib
import io
import re
import sys
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from fashionlib.__main__ import main
from fashionlib.sources import download, open_catalogue
from fashionlib.sources.products import FOLDER, SHARDS

REVISION = "bd09c69e56fc0b1f279743fef89d735f3bdf8a42"
client = pytest.importorskip("httpx2", reason="the hub's client of this version has another transport")


def parquet(number: int) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table({"id": list(range(1000 * number, 1000 * number + 500))}), file)
    return file.getvalue()


class Hub:
    """Answers as the hub does for two files; ``requests`` lists what was asked, ``fault`` may answer instead."""

    def __init__(self):
        self.files = {f"/datasets/ashraq/{FOLDER}/resolve/{REVISION}/{n}": parquet(i) for i, n in enumerate(SHARDS)}
        self.requests: list[tuple[str, str]] = []
        self.fault = None

    def __call__(self, request):
        if "/api/" in request.url.path:  # the client asks other things too, which are no files
            return client.Response(404, request=request)
        self.requests.append((request.method, request.url.path))
        if self.fault:
            answer = self.fault(request)
            if answer is not None:
                return answer
        if request.url.path not in self.files:
            return client.Response(404, headers={"X-Error-Code": "EntryNotFound"}, request=request)
        content = self.files[request.url.path]
        headers = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X-Repo-Commit": REVISION}
        if request.method == "HEAD":
            return client.Response(200, headers=headers | {"Content-Length": str(len(content))}, request=request)
        status, start = 200, 0
        if part := re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", "")):
            status, start = 206, int(part[1])
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        return client.Response(status, headers=headers, content=content[start:], request=request)


@pytest.fixture
def hub(monkeypatch, tmp_path):
    stand_in = Hub()
    huggingface_hub.set_client_factory(lambda: client.Client(transport=client.MockTransport(stand_in)))
    monkeypatch.setattr("time.sleep", lambda _: None)  # between its attempts the client waits
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    yield stand_in
    huggingface_hub.set_client_factory(client.Client)


def landed(root: Path) -> dict[str, bytes]:
    folder = root / FOLDER
    return {name: (folder / name).read_bytes() for name in SHARDS if (folder / name).exists()}


def test_both_files_are_fetched_at_the_pinned_revision_and_only_once(hub, tmp_path, capsys):
    assert main(["download", "products", "--data", str(tmp_path)]) == 0
    assert list(landed(tmp_path).values()) == [parquet(0), parquet(1)]
    assert {path for _, path in hub.requests} == set(hub.files)
    out = capsys.readouterr().out
    assert all(str(tmp_path / FOLDER / name) in out for name in SHARDS)

    hub.requests.clear()
    assert main(["download", "products", "--data", str(tmp_path)]) == 0
    assert [method for method, _ in hub.requests] == ["HEAD", "HEAD"]  # what is there is compared, not fetched


@pytest.mark.parametrize("other", [parquet(7), parquet(1)[:-50], parquet(1)[:99] + b"x" + parquet(1)[100:]])
def test_a_file_that_is_not_the_hubs_is_kept_aside_and_fetched_anew(hub, tmp_path, other):
    file = tmp_path / FOLDER / SHARDS[1]
    file.parent.mkdir(parents=True)
    file.write_bytes(other)
    with pytest.warns(UserWarning, match=r"not the hub's file; it is kept as .*\.other"):
        assert main(["download", "products", "--data", str(tmp_path)]) == 0
    assert list(landed(tmp_path).values()) == [parquet(0), parquet(1)]
    assert file.with_name(f"{file.name}.{hashlib.sha256(other).hexdigest()[:8]}.other").read_bytes() == other


def test_what_came_and_is_not_what_the_hub_states_is_not_kept(hub, tmp_path, capsys):
    def wrong(request):
        if request.method == "GET":
            content = parquet(0)[:99] + b"x" + parquet(0)[100:]
            return client.Response(200, headers={"Content-Length": str(len(content))}, content=content, request=request)

    hub.fault = wrong
    assert "the hub states" in fails(tmp_path, capsys)
    assert landed(tmp_path) == {}


def test_whole_files_are_kept_where_the_hub_cannot_be_asked(hub, tmp_path):
    for name in SHARDS:
        (tmp_path / FOLDER / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / FOLDER / name).write_bytes(parquet(7))
    hub.fault = lambda request: client.Response(503, request=request)
    with pytest.warns(UserWarning, match="was not compared with the hub's"):
        assert main(["download", "products", "--data", str(tmp_path)]) == 0
    assert list(landed(tmp_path).values()) == [parquet(7)] * 2


def test_the_remains_of_a_killed_download_are_removed(hub, tmp_path):
    remains = tmp_path / FOLDER / ".cache/huggingface/download/data/x.abc.incomplete"
    remains.parent.mkdir(parents=True)
    remains.write_bytes(bytes(1000))
    assert main(["download", "products", "--data", str(tmp_path)]) == 0 and not remains.exists()


def test_of_two_calls_at_once_one_waits(hub, tmp_path):
    with ThreadPoolExecutor(2) as pool:
        assert [*pool.map(main, [["download", "products", "--data", str(tmp_path)]] * 2)] == [0, 0]
    assert [method for method, _ in hub.requests].count("GET") == len(SHARDS)


def fails(root: Path, capsys) -> str:
    """Runs the command, which must fail with advice; returns what it said on stderr."""
    assert main(["download", "products", "--data", str(root)]) == 1
    said = capsys.readouterr().err
    assert "Traceback" not in said
    for word in ("could not fetch", "ashraq/fashion-product-images-small", REVISION, str(root / FOLDER)):
        assert word in said
    assert "kaggle.com/datasets/paramaggarwal" in said and "styles.csv and images/" in said
    return said


def test_no_network(hub, tmp_path, capsys):
    def unreachable(request):
        raise client.ConnectError("Name or service not known")

    hub.fault = unreachable
    assert SHARDS[0] in fails(tmp_path, capsys)
    assert landed(tmp_path) == {}


def test_a_file_that_is_not_on_the_hub(hub, tmp_path, capsys):
    del hub.files[next(path for path in hub.files if path.endswith(SHARDS[1]))]
    said = fails(tmp_path, capsys)
    assert SHARDS[1] in said and "404" in said
    assert list(landed(tmp_path)) == [SHARDS[0]]


def test_a_damaged_file_is_not_taken_for_good_without_network(hub, tmp_path, capsys):
    file = tmp_path / FOLDER / SHARDS[0]
    file.parent.mkdir(parents=True)
    file.write_bytes(parquet(0)[:300])
    hub.fault = lambda request: client.Response(403, request=request)
    assert "403" in fails(tmp_path, capsys)
    assert file.read_bytes() == parquet(0)[:300]  # nothing better came


class Cut(client.SyncByteStream):
    """A body whose connection breaks after some bytes."""

    def __init__(self, content: bytes):
        self.content = content

    def __iter__(self):
        yield self.content
        raise client.ReadError("connection reset by peer")


def test_a_connection_that_breaks_leaves_no_half_file_under_the_final_name(hub, tmp_path, capsys):
    def cut(request):
        if request.method == "HEAD":
            return None
        if "Range" in request.headers:
            raise client.ConnectError("connection reset by peer")
        return client.Response(
            200, headers={"Content-Length": str(len(parquet(0)))}, stream=Cut(parquet(0)[:700]), request=request
        )

    hub.fault = cut
    assert "connection reset" in fails(tmp_path, capsys)
    assert landed(tmp_path) == {}
    hub.fault = None
    assert main(["download", "products", "--data", str(tmp_path)]) == 0
    assert list(landed(tmp_path).values()) == [parquet(0), parquet(1)]


def test_a_folder_that_cannot_be_written(hub, tmp_path, capsys):
    (tmp_path / FOLDER).write_text("a file where the folder should be")
    assert "could not fetch" in fails(tmp_path, capsys)
    assert (tmp_path / FOLDER).read_text() == "a file where the folder should be"


def test_without_the_client_the_message_says_what_to_install(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert main(["download", "products", "--data", str(tmp_path)]) == 1
    assert "pip install fashionlib[products]" in capsys.readouterr().err


def test_data_defaults_to_the_environment_variable(hub, tmp_path, monkeypatch):
    monkeypatch.setenv("FASHION_DATA", str(tmp_path / "from-environment"))
    assert main(["download", "products"]) == 0
    assert len(landed(tmp_path / "from-environment")) == 2


@pytest.fixture
def archive(monkeypatch, tmp_path):
    """A stand-in for the archive of the clothes, laid out as GitHub lays them out."""
    path = tmp_path / "served" / "clothes.zip"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as file:
        for split, colour in (("train", 1), ("validation", 2), ("test", 3)):
            for kind in ("dress", "hat"):
                picture = io.BytesIO()
                Image.new("RGB", (6, 8), (60 * colour, 0, 0)).save(picture, "JPEG")
                file.writestr(f"clothing-dataset-small-1196/{split}/{kind}/{colour}.jpg", picture.getvalue())
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=path.parent)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(download, "ARCHIVE", f"http://127.0.0.1:{server.server_port}/{path.name}")
        yield path
        server.shutdown()


def test_the_clothes_open_with_their_own_splits_and_are_fetched_once(archive, tmp_path, capsys):
    root = tmp_path / "data"
    assert main(["download", "clothing", "--data", str(root)]) == 0
    assert str(root / "clothing-dataset-small" / "validation") in capsys.readouterr().out
    table = open_catalogue("clothing-dataset-small", root).table
    assert table.groupby("split")["category"].agg(sorted).to_dict() == dict.fromkeys(
        ("train", "val", "test"), ["dress", "hat"]
    )
    archive.unlink()
    assert main(["download", "clothing", "--data", str(root)]) == 0
    assert [path.name for path in root.iterdir()] == ["clothing-dataset-small"]  # nothing else is left


@pytest.mark.parametrize("content", [None, b"no archive", b""])
def test_clothes_that_do_not_come_whole_leave_nothing(archive, tmp_path, capsys, content):
    archive.unlink() if content is None else archive.write_bytes(content)
    assert main(["download", "clothing", "--data", str(tmp_path / "data")]) == 1
    error = capsys.readouterr().err
    assert download.ARCHIVE in error and str(tmp_path / "data" / "clothing-dataset-small") in error
    assert not list((tmp_path / "data").iterdir())
