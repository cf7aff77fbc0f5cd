"""A lock for a folder that one process uses at a time."""

import os
from contextlib import suppress
from pathlib import Path

NAME = "run.lock"


class FolderLock:
    """A lock that keeps other processes out of a folder.

    A process may lock a folder several times. The lock ends with the process,
    even if that is killed. On a disk that is read-only or has no locks, this
    does nothing.

    Args:
        folder: The folder, which must exist.
    """

    def __init__(self, folder: str | os.PathLike):
        # Imported late to keep `import keras_wmgm` fast.
        from filelock import FileLock

        self.folder = Path(folder)
        path = self.folder.resolve() / NAME
        self.lock = FileLock(
            path, timeout=0, thread_local=False, is_singleton=True
        )
        self.held = False

    def acquire(self) -> None:
        """Lock the folder.

        Raises:
            BlockingIOError: If another process holds the lock.
        """
        from filelock import Timeout

        if self.held:
            return
        try:
            self.lock.acquire()
            self.held = True
        except Timeout:
            raise BlockingIOError(
                "Another process uses this folder: wait until it has ended, "
                "stop it, or choose another folder. "
                f"Received: {self.folder}"
            ) from None
        except (OSError, NotImplementedError):
            pass  # a folder that cannot be locked

    def release(self) -> None:
        """Release the lock.

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
        # Also releases locks that an error left behind inside the block.
        if self.held:
            self._release(force=True)
