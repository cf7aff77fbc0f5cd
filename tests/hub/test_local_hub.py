"""The local hub: its answers, and that it runs as a script."""

import subprocess
import sys
import urllib.error
import urllib.request

import pytest
from huggingface_hub import HfApi
from huggingface_hub import hf_hub_download

from tests.hub import local_hub
from tests.hub.server import TOKEN

LARGE = bytes(range(256)) * 512


def ask(url, **headers):
    """Return status, headers and content of an answer."""
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


@pytest.fixture
def files(hub, tmp_path):
    """A small and a large file in a repository. Return the commit."""
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "small.txt").write_text("small")
    (folder / "large.bin").write_bytes(LARGE)
    return hub.add("me/files", folder)


def test_files_come_as_they_were(hub, files, cache):
    for name, content in (("small.txt", b"small"), ("large.bin", LARGE)):
        path = hf_hub_download("me/files", name, cache_dir=cache)
        with open(path, "rb") as file:
            assert file.read() == content
    (large,) = [path for path, _ in hub.sent if "/lfs/" in path]
    assert large.startswith("/lfs/me/files/")


@pytest.mark.parametrize(
    "asked, status, span, content",
    [
        ("bytes=0-", 206, f"bytes 0-{len(LARGE) - 1}/{len(LARGE)}", LARGE),
        (
            "bytes=131000-",
            206,
            f"bytes 131000-{len(LARGE) - 1}/{len(LARGE)}",
            LARGE[131000:],
        ),
        (f"bytes={len(LARGE)}-", 416, None, None),
        ("nonsense", 200, None, LARGE),
    ],
)
def test_parts_of_files(hub, files, asked, status, span, content):
    url = f"{hub.url}/me/files/resolve/main/large.bin"
    found, headers, body = ask(url, Range=asked)
    assert (found, headers["Content-Range"]) == (status, span)
    assert content is None or body == content
    assert headers["X-Repo-Commit"] == (files if content else None)


@pytest.mark.parametrize(
    "path, status, code",
    [
        ("/api/models/me/none", 404, "RepoNotFound"),
        ("/api/models/me/files/revision/v9", 404, "RevisionNotFound"),
        ("/me/files/resolve/main/none.txt", 404, "EntryNotFound"),
        ("/me/files/resolve/v9/small.txt", 404, "RevisionNotFound"),
        ("/lfs/me/files/" + "0" * 64, 404, "EntryNotFound"),
        ("/api/models/../../etc", 404, "EntryNotFound"),
        ("/api/whoami-v2", 401, None),
    ],
)
def test_what_is_not_there(hub, files, path, status, code):
    found, headers, _ = ask(hub.url + path)
    assert (found, headers["X-Error-Code"]) == (status, code)


def test_who_asks(hub):
    assert HfApi(token=TOKEN).whoami()["name"] == "me"


def test_it_runs_as_a_script(tmp_path):
    script = local_hub.__file__
    server = subprocess.Popen(
        [sys.executable, script, "--folder", tmp_path, "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        url = server.stdout.readline().split()[0].removeprefix("HF_ENDPOINT=")
        assert ask(f"{url}/api/models/me/none")[0] == 404
    finally:
        server.kill()
        server.communicate()
