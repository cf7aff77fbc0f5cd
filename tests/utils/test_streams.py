"""Streams of a command that are closed, or that nobody reads any more."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from keras_wmgm.utils import streams

PATH = Path(__file__).parents[2] / "keras_wmgm" / "utils" / "streams.py"
SCRIPT = f"""
import sys
from importlib.util import module_from_spec, spec_from_file_location
spec = spec_from_file_location("streams", {str(PATH)!r})
streams = module_from_spec(spec)
spec.loader.exec_module(streams)
streams.mend_streams()
with open("file", "w") as file:
    sys.stdin.read()
    for _ in range(1000):
        print("to be read " * 10)
        print("a note", file=sys.stderr)
    file.write("whole")
"""


def shell(tmp_path, streams):
    (tmp_path / "script.py").write_text(SCRIPT)
    python = f"set -o pipefail; {sys.executable} script.py"
    return subprocess.run(
        ["bash", "-c", f"{python} {streams}"],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    "streams",
    ["", "<&-", ">&-", "2>&-", "<&- >&- 2>&-", "| true", "2>/dev/full"],
)
def test_a_command_does_its_work(tmp_path, streams):
    done = shell(tmp_path, streams)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "file").read_text() == "whole"
    printed = ">" not in streams.replace("2>", "") and "|" not in streams
    assert len(done.stdout.splitlines()) == 1000 * printed
    noted = "2>" not in streams
    assert done.stderr == "a note\n" * 1000 * noted


def test_output_that_is_lost_is_an_error(tmp_path):
    done = shell(tmp_path, ">/dev/full")
    assert done.returncode == 1
    assert done.stderr.count("No space left on device") == 1


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
def test_a_terminal_that_hangs_up_ends_no_command(monkeypatch):
    reader, terminal = os.openpty()
    with open(terminal, "w") as stream:
        monkeypatch.setattr("sys.stdout", stream)
        monkeypatch.setattr("sys.stderr", stream)
        streams.mend_streams()
        assert sys.stdout.isatty() and sys.stderr.isatty()
        os.close(reader)
        print("to be read", flush=True)
        print("a note", file=sys.stderr, flush=True)
        with pytest.raises(OSError):
            os.write(terminal, b"the terminal is gone")
