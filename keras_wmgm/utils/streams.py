"""The standard streams of the command, which may be closed or broken."""

import errno
import io
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TextIO


class _Pipe(io.FileIO):
    """An output stream whose reader may be gone, as in `| head -1`."""

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
                self.failed = True  # raised once, not again at exit
                raise
            return len(data)


class _Notes(io.FileIO):
    """A stream of messages, which are lost if they cannot be written."""

    def write(self, data):
        try:
            return super().write(data)
        except OSError:
            return len(data)


def prepare_command_line() -> None:
    """Set up the process, if it runs the command `keras-wmgm`.

    TensorFlow's messages about its build and missing GPUs are switched off;
    its errors are exceptions in any case.
    """
    if Path(sys.argv[0]).stem == "keras-wmgm":
        mend_streams()
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def mend_streams() -> None:
    """Make the standard streams of a command safe to write to.

    A closed stream is opened on the null device. Otherwise the next file that
    is opened would get its number, and printed text would end up there.
    Output that nobody reads any more is dropped, so that it does not end a
    long run. Other failures of standard output, such as a full disk, are
    still errors.
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
