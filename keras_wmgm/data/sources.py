"""The sources of images: files of a folder, or members of a zip file."""

import os
import re
import stat
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import BinaryIO

from keras_wmgm.data import formats
from keras_wmgm.utils.writing import expand_user

Source = Callable[[], BinaryIO]
"""A function that opens one file to read its bytes."""

INSIDE = re.compile(r"(.+?\.zip):(.*)", re.IGNORECASE | re.DOTALL)
ARCHIVES = (".7z", ".bz2", ".gz", ".rar", ".tar", ".tgz", ".xz", ".zip")
NUM_SHOWN = 5


def split_zip(path: str | os.PathLike) -> tuple[str, str | None]:
    """Return where images are, and in which folder of a zip file.

    Args:
        path: As of `load_images`.

    Returns:
        A tuple `(place, inside)`; `inside` is `None` where `path` names no
        folder of a zip file.
    """
    text = expand_user(path)
    match = INSIDE.fullmatch(text)
    return match.groups() if match else (text, None)


def find_images(path: str | os.PathLike) -> dict[str, Source]:
    """Return the images of a folder or a zip file, in the order of their names.

    It prints how many other files are left out, and why.

    Args:
        path: As of `load_images`.

    Raises:
        FileNotFoundError: If there is nothing at `path`.
        ValueError: If it is neither a folder nor a zip file.
    """
    place, inside = split_zip(path)
    if os.path.isdir(place) and inside is None:
        sources = _in_folder(place)
    elif os.path.exists(place):
        sources = _in_zip(place, inside or "")
    else:
        raise FileNotFoundError(_missing(expand_user(path), inside is not None))
    names = sorted(filter(_is_visible, sources), key=lambda n: Path(n).parts)
    reasons = {name: _why_not(name, sources[name]) for name in names}
    _print_left_out(reasons)
    return {name: sources[name] for name in names if not reasons[name]}


def open_file(path: str | os.PathLike) -> BinaryIO:
    """Open a regular file to read its bytes."""
    _check_regular(path)
    return open(path, "rb")


def shown(names: list[str]) -> str:
    """Return the first names as text that can be printed."""
    text = ", ".join(names[:NUM_SHOWN])
    text += ", ..." if len(names) > NUM_SHOWN else ""
    return text.encode(errors="backslashreplace").decode()


def _check_regular(path):
    # Opening a pipe would wait for its writer.
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError("it is not a regular file")


def _in_folder(folder):
    """Return the sources of all files, or why they are left out."""
    sources = {}

    def fail(error):
        def source():
            raise error

        sources[os.path.relpath(error.filename, folder)] = source

    for root, folders, files in os.walk(folder, onerror=fail):
        for path in (os.path.join(root, name) for name in files + folders):
            name = os.path.relpath(path, folder)
            if _is_special(path) and not Path(name).suffix:
                sources[name] = "pipes, dead links and other special files"
            elif not os.path.isdir(path):
                sources[name] = partial(open_file, path)
            elif os.path.islink(path):  # may go round in circles
                sources[name] = "linked folders"
    return sources


def _is_special(path):
    """Whether it is a pipe, a device, a socket or a link to nothing."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return True
    except OSError:  # no right to, for one: said when it is read
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _in_zip(path, inside):
    archive = _open_zip(path)
    inside = _slashes(inside).strip("/")
    prefix = inside + "/" if inside else ""
    members = {_slashes(m.filename): m for m in archive.infolist()}
    return {
        name: partial(archive.open, member)
        for name, member in members.items()
        if name.startswith(prefix) and not name.endswith("/")
    }


def _slashes(name):
    """Return a member's name as it should be; some programs write `\\`."""
    return name.replace("\\", "/")


def _open_zip(path):
    try:
        _check_regular(path)
        return zipfile.ZipFile(path)
    except OSError as error:
        reason = f"this one cannot be read: {error}"
    except Exception:  # `zipfile` raises many kinds for damaged files
        reason = _what_instead(path)
    raise ValueError(
        f"Images are read from a folder or a zip file, and {reason}. "
        f"Received: {path}"
    )


def _what_instead(path):
    if path.lower().endswith(ARCHIVES) and not path.lower().endswith(".zip"):
        return "this is another archive: unpack it first"
    if formats.is_image(path, partial(open_file, path)):
        return "this is one image: give its folder, or use `load_image`"
    return "this file is not a complete zip file"


def _missing(text, is_zip):
    if is_zip:
        return f"There is no zip file. Received: {text}"
    hint = " A pattern is not expanded: give the folder."
    return (
        "Images are read from a folder or a zip file, and there is none."
        f"{hint if re.search('[*?[]', text) else ''} Received: {text}"
    )


def _is_visible(name):
    parts = [part for part in Path(name).parts if part != ".."]
    return not any(p.startswith((".", "__MACOSX")) for p in parts)


def _why_not(name, source):
    """Return why a file is left out, or `None` for an image."""
    suffix = Path(name).suffix.lower()
    if isinstance(source, str):
        return source
    if ".." in Path(name).parts:
        return "files that are outside of their archive by their names"
    if formats.is_image(name, source):
        return None
    if suffix in ARCHIVES:
        return "archives that must be unpacked first"
    if suffix in formats.HEIF:
        return "images that `pip install pillow-heif` makes readable"
    return "files that are not images, by their endings or contents"


def _print_left_out(reasons):
    """Print one line for each reason, with a count and some names."""
    for reason in sorted(filter(None, set(reasons.values()))):
        names = [name for name in reasons if reasons[name] == reason]
        print(f"left out, {reason}: {len(names)} ({shown(names)})")
