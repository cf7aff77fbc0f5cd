"""Files that are written completely or not at all."""

import io
import json
import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextlib import suppress
from pathlib import Path
from typing import Any

import keras

LEFTOVER = re.compile(r"\.new\.[0-9a-f]{8}\..+")
DAY = 24 * 60 * 60


class NotWrittenError(OSError):
    """A file cannot be written, as on a full disk or without permission."""


def expand_user(path: str | os.PathLike) -> str:
    """Return a path as text, with the user's home for `~`.

    Where there is no user `foo`, `~foo` is a name like any other.
    """
    return os.path.expanduser(os.fsdecode(path))


def as_path(path: str | os.PathLike) -> Path:
    """Return a path, with `~` for the home directory expanded."""
    return Path(expand_user(path))


@contextmanager
def written_whole(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary name to write to, and rename that file at the end.

    The temporary name is different every time, so several processes can write
    the same file at once. The content is on the disk before the file is
    renamed, so a power cut leaves the old file or the new one.

    Args:
        path: The file. It is replaced, or left as it is if writing fails.

    Raises:
        NotWrittenError: If the disk is full or cannot be written to.
    """
    path = Path(path)
    temporary = _temporary(path)
    try:
        with _explained(path):
            yield temporary
            _sync(temporary)
            os.replace(temporary, path)
    finally:
        _remove(temporary)


def write_together(folder: Path, contents: dict[str, bytes]) -> None:
    """Write files that belong together, and rename them in their order.

    All contents are on the disk before the first file is renamed, so a full
    disk leaves all the old files.

    Args:
        folder: Where to.
        contents: The content of each file, by name.

    Raises:
        NotWrittenError: If the disk is full or may not be written to.
    """
    temporaries = {
        folder / name: _temporary(folder / name) for name in contents
    }
    try:
        for path, temporary in temporaries.items():
            with _explained(path):
                temporary.write_bytes(contents[path.name])
                _sync(temporary)
        for path, temporary in temporaries.items():
            with _explained(path):
                os.replace(temporary, path)
    finally:
        _remove(*temporaries.values())


@contextmanager
def _explained(path):
    """Say which file an error of the disk is about, and what to do."""
    try:
        yield
    except NotWrittenError:
        raise
    except OSError as error:
        if error.errno is None:  # not from the disk, but from an encoder
            raise
        raise NotWrittenError(
            error.errno,
            f"{path.name} cannot be written: {error.strerror}. What was "
            "there before is kept. Make room, or choose a folder that can "
            f"be written to, and try again. Received: {path}",
        ) from error


def _remove(*paths):
    for path in paths:
        with suppress(OSError):
            path.unlink()


def _temporary(path):
    return path.with_name(f".new.{secrets.token_hex(4)}.{path.name}")


def _sync(path):
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def remove_leftovers(folder: Path, *names: str) -> None:
    """Remove temporary files that killed processes left a day ago or earlier.

    Args:
        folder: The folder.
        *names: Names of files whose temporary names of earlier versions are
            removed at any age.
    """
    with suppress(OSError):
        for name in names:
            (folder / f".new.{name}").unlink(missing_ok=True)
        for path in folder.iterdir():
            if LEFTOVER.fullmatch(path.name):
                if time.time() - path.stat().st_mtime > DAY:
                    path.unlink()


def check_writable(path: str | os.PathLike) -> None:
    """Refuse a file that cannot be written, without creating anything.

    Args:
        path: The file. Folders above it may be missing.

    Raises:
        OSError: If a name is too long, or if there is no file but something
            else of this name.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        raise FileExistsError(
            "The file cannot be written, as there is something else of that "
            f"name; choose another. Received: {path}"
        )
    temporary = _temporary(path)
    folders = [folder for folder in path.parents if not folder.exists()]
    there = folders[-1].parent if folders else path.parent
    names = [there / p.name for p in (*folders, temporary)]
    try:
        # A missing file can be made unless its name is too long.
        for name in (*names, temporary):
            with suppress(FileNotFoundError):
                os.stat(name)
    except OSError as error:
        raise type(error)(
            error.errno,
            f"The file cannot be written: {error.strerror}; choose another "
            f"name. Received: {path}",
        ) from None


def write_json(path: str | os.PathLike, content: Any) -> None:
    """Write JSON to a file, under a temporary name that is then renamed."""
    with written_whole(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n")


class _Memory(io.BytesIO):
    """A file in memory with a name that Keras accepts."""

    def __str__(self):
        return "memory.keras"


def keras_archive(model: keras.Model) -> bytes:
    """Return the content of the `.keras` file of a model.

    It is written to memory, as HDF5 can crash the process when a disk is full.
    """
    archive = _Memory()
    model.save(archive)
    return archive.getvalue()
