"""A folder in which one process works at a time."""

import os
from contextlib import suppress
from pathlib import Path

NAME = "run.lock"


class FolderLock:
    """Keep other processes out of a folder, for as long as this one lives.

    A process may take one folder several times. It loses the lock when it
    ends, however it does. Where a folder cannot be locked (a disk that is
    read-only, a network drive without locks) nothing is kept out.

    Args:
        folder: The folder, which has to be there.
    """

    def __init__(self, folder: str | os.PathLike):
        # Imported when it is needed, as the Hub's client that brings it is.
        from filelock import FileLock

        self.folder = Path(folder)
        path = self.folder.resolve() / NAME
        self.lock = FileLock(
            path, timeout=0, thread_local=False, is_singleton=True
        )
        self.held = False

    def acquire(self) -> None:
        """Take the folder.

        Raises:
            BlockingIOError: If another process has it.
        """
        from filelock import Timeout

        if self.held:
            return
        try:
            self.lock.acquire()
            self.held = True
        except Timeout:
            raise BlockingIOError(
                "Another process is at work in this folder: wait until it "
                "has ended, or stop it, or choose another folder. "
                f"Received: {self.folder}"
            ) from None
        except (OSError, NotImplementedError):
            pass  # a folder that cannot be locked

    def release(self) -> None:
        """Let go of the folder.

        The lock's file stays: removing it could let two processes in.
        """
        if self.held:
            self._release()

    def _release(self, force=False):
        self.held = False
        with suppress(OSError):  # the lock goes with the file's descriptor
            self.lock.release(force)

    def __enter__(self):
        self.acquire()
        return self

    def __exit__(self, *error):
        # What was taken within, and an error has left, is over too.
        if self.held:
            self._release(force=True)
