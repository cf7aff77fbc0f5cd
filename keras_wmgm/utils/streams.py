"""The command's streams, which may be closed or lead nowhere any more."""

import errno
import io
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TextIO


class _Pipe(io.FileIO):
    """A stream to write to, whose reader may be gone, as in `| head -1`."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.failed = False
        # A terminal that has hung up fails so, and a broken disk.
        self.gone = {errno.EPIPE, errno.EIO if self.isatty() else errno.EPIPE}

    def write(self, data):
        try:
            return super().write(data)
        except OSError as error:
            if not (self.failed or error.errno in self.gone):
                self.failed = True  # told once, and not at the end again
                raise
            return len(data)


class _Notes(io.FileIO):
    """A stream of notes, which may be lost: the disk may be full."""

    def write(self, data):
        try:
            return super().write(data)
        except OSError:
            return len(data)


def prepare_command_line() -> None:
    """Set up the process of the command `keras-wmgm`, and of no other.

    TensorFlow tells of its build and of missing GPUs while it is imported; it
    is asked not to, and its failures are exceptions all the same.
    """
    if Path(sys.argv[0]).stem == "keras-wmgm":
        mend_streams()
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def mend_streams() -> None:
    """Let a command write to its streams, whatever has become of them.

    A closed stream is opened on nothing, or the next file that is opened would
    get its number, and what is printed would end up there. What nobody reads
    any more is dropped, so that it does not end a long run. Standard output
    that fails otherwise, by a full disk for one, is still an error.
    """
    for name, kind in (("stdin", None), ("stdout", _Pipe), ("stderr", _Notes)):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w" if kind else "r"))
        elif kind and not _is_console(stream):
            setattr(sys, name, _lasting(stream, kind))


def _is_console(stream):
    """Whether it is Windows's, which takes text and no bytes."""
    return os.name == "nt" and stream.isatty()


def say(text: str, stream: TextIO) -> None:
    """Print from a signal's handler, where a failure must not be raised.

    The stream may lead nowhere, be closed, or be in the middle of a print.
    """
    with suppress(OSError, ValueError, RuntimeError):
        print(text, file=stream, flush=True)


def _lasting(stream, kind):
    raw = kind(stream.fileno(), "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=True,
    )
