"""Fetching: the right file whole or none at all, from any place that has it, once."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from overpaint.benchmark.datasets import DATASETS, fetch, get, kept, load
from overpaint.benchmark.datasets.registry import Source
from overpaint.errors import DataError, OutputError

CONTENT = b"attribute,original,target\nstyle,a kite by Zorvan,a painting\n"
FILE = "pairs.csv"


class Home(ThreadingHTTPServer):
    """Serves ``files``; breaks off after ``cut`` bytes; remembers what was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Page)
        self.files = {f"/data/{FILE}": CONTENT}
        self.cut: int | None = None
        self.asked: list[str] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/data/"


class Page(BaseHTTPRequestHandler):
    server: Home

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        content = self.server.files.get(self.path)
        if content is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: self.server.cut])

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    monkeypatch.setenv("no_proxy", "*")
    with Home() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def name(home: Home, monkeypatch: pytest.MonkeyPatch) -> str:
    """A data set that is published at ``home``."""
    source = Source(FILE, hashlib.sha256(CONTENT).hexdigest(), (home.address,), 1)
    data = replace(DATASETS["locogen"], name="mine", make=None, source=source)
    monkeypatch.setitem(DATASETS, "mine", data)
    return "mine"


def test_fetched_once_and_then_read_by_name(home: Home, name: str):
    seen: list[tuple[int, int, str]] = []
    path = get(name, progress=lambda *step: seen.append(step))
    assert path == fetch.default_folder() / FILE
    assert path.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT), FILE)
    assert get(name) == path
    assert home.asked == [f"/data/{FILE}"]
    assert [path.name for path in path.parent.iterdir()] == [FILE]
    assert len(load(name)) == 1


def test_into_another_folder(name: str, tmp_path: Path):
    folder = tmp_path / "new" / "folder"
    assert get(name, folder=folder) == folder / FILE
    assert kept(DATASETS[name]) is None
    assert kept(DATASETS[name], folder) == folder / FILE


def test_a_broken_connection_leaves_nothing_and_the_next_try_works(
    home: Home, name: str, tmp_path: Path
):
    home.cut = 20
    with pytest.raises(DataError, match=f"the connection broke after 20 of {len(CONTENT)} bytes"):
        get(name, folder=tmp_path / "to")
    assert not (tmp_path / "to").exists()
    home.cut = None
    assert get(name, folder=tmp_path / "to").read_bytes() == CONTENT


def test_another_file_under_the_same_name_is_refused(home: Home, name: str, tmp_path: Path):
    home.files[f"/data/{FILE}"] = CONTENT.replace(b"kite", b"Kite")
    with pytest.raises(DataError, match=r"another file, or a damaged one \(expected SHA-256"):
        get(name, folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_copy_is_no_copy_and_is_replaced(home: Home, name: str):
    path = get(name)
    path.write_bytes(CONTENT[:-5])
    with pytest.raises(DataError, match=f"run 'overpaint data get {name}'"):
        load(name)
    home.cut = 3
    with pytest.raises(DataError, match="the connection broke"):
        get(name)
    assert path.read_bytes() == CONTENT[:-5]  # the old one stays until the new one is whole
    home.cut = None
    assert get(name).read_bytes() == CONTENT


def test_the_next_home_is_asked_when_one_fails(
    home: Home, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    data = DATASETS[name]
    assert data.source is not None
    gone = home.address.replace("data", "gone")
    both = replace(data.source, folders=(gone, home.address))
    monkeypatch.setitem(DATASETS, name, replace(data, source=both))
    assert get(name, folder=tmp_path).read_bytes() == CONTENT
    assert home.asked == [f"/gone/{FILE}", f"/data/{FILE}"]
    home.files.clear()
    with pytest.raises(DataError) as caught:
        get(name, folder=tmp_path / "other")
    assert str(caught.value).count("HTTP 404 Not Found") == 2


@pytest.mark.parametrize("form", ["path", "address"])
def test_a_mirror_in_a_folder_needs_no_network(home: Home, name: str, tmp_path: Path, form: str):
    mirror = tmp_path / "a mirror"
    mirror.mkdir()
    (mirror / FILE).write_bytes(CONTENT)
    place = str(mirror) if form == "path" else mirror.as_uri()
    assert get(name, folder=tmp_path / "to", mirror=place).read_bytes() == CONTENT
    assert home.asked == []
    with pytest.raises(DataError, match="No such file"):
        get(name, folder=tmp_path / "more", mirror=str(tmp_path / "empty"))


def test_offline_is_said_in_one_line(home: Home, name: str):
    home.shutdown()
    home.server_close()
    with pytest.raises(DataError) as caught:
        get(name)
    message = str(caught.value)
    assert message.startswith(f"cannot fetch {FILE}: {home.address}{FILE}: Connection refused")
    assert "--from" in message


def test_an_address_without_end_is_given_up(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(fetch, "_LARGEST", 10)
    with pytest.raises(DataError, match="larger than"):
        get(name, folder=tmp_path)


def test_a_folder_that_cannot_be_written(name: str, tmp_path: Path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(OutputError, match="cannot keep"):
        get(name, folder=tmp_path / "taken")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("locogen-generic", "it comes with Overpaint"),
        ("iceb", "a file of your own; give its path"),
        ("nope", "expected a data set out of timed"),
    ],
)
def test_what_cannot_be_fetched(name: str, said: str):
    with pytest.raises(DataError, match=said):
        get(name)


def test_every_published_file_has_homes_and_a_checksum():
    sources = [data.source for data in DATASETS.values() if data.source]
    assert len(sources) == len({source.file for source in sources}) == 7
    for source in sources:
        assert len(bytes.fromhex(source.sha256)) == 32
        assert source.folders
        assert all(f.startswith("https://") and f.endswith("/") for f in source.folders)
