"""A stranger's weights are numbers, and are read as nothing else.

An HDF5 file may point into other files, and may declare terabytes in a few
bytes. Here its structure is walked before any number is read: groups, and
plain arrays of numbers whose bytes are really there.
"""

from pathlib import Path

import h5py

MAX_OBJECTS = 100_000
KINDS = "fiu"
"""Floats, signed and unsigned whole numbers."""


def check_weights_file(path: Path) -> tuple[int, set[str]]:
    """Refuse an HDF5 file that is more than arrays of numbers.

    Args:
        path: The file.

    Returns:
        How many numbers there are, and the names of the arrays.

    Raises:
        ValueError: If it is damaged, or holds anything else.
    """
    try:
        with h5py.File(path, "r") as file:
            arrays = _arrays(file, path)
            count = sum(array.size for array in arrays)
            declared = sum(array.nbytes for array in arrays)
            names = {array.name.lstrip("/") for array in arrays}
    except (OSError, RuntimeError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path.name} is no whole HDF5 file, it is damaged or cut "
            f"({error}); get the preset anew. Received: {path}"
        ) from None
    if declared > path.stat().st_size:
        raise ValueError(
            f"{path.name} declares more bytes than the file has. "
            f"Received: {declared} in {path}"
        )
    return count, names


def _arrays(file, path) -> list[h5py.Dataset]:
    """Walk all groups once. Return the arrays, none of them read."""
    arrays, seen, groups = [], set(), [file]
    while groups:
        group = groups.pop()
        for name in group:
            link = group.get(name, getlink=True)
            if type(link) is not h5py.HardLink:
                raise _refused(path, name, f"a {type(link).__name__}")
            item = group[name]
            address = h5py.h5o.get_info(item.id).addr
            if address in seen or len(seen) > MAX_OBJECTS:
                raise _refused(path, name, "one object in two places")
            seen.add(address)
            if isinstance(item, h5py.Group):
                groups.append(item)
            else:
                _check_array(item, path)
                arrays.append(item)
    return arrays


def _check_array(item, path):
    if not isinstance(item, h5py.Dataset):
        raise _refused(path, item.name, f"a {type(item).__name__}")
    if item.external or item.is_virtual:
        raise _refused(path, item.name, "an array that is in other files")
    if item.dtype.kind not in KINDS or item.dtype.subdtype:
        raise _refused(path, item.name, f"an array of {item.dtype}")
    if item.chunks or item.id.get_storage_size() != item.nbytes:
        raise _refused(
            path,
            item.name,
            f"shape {item.shape}, stored in {item.id.get_storage_size()} bytes",
        )


def _refused(path, name, what):
    return ValueError(
        f"{path.name} must hold groups and plain arrays of numbers, each "
        "whole and stored once, and no links or packed data. "
        f"Received: {what} at {name!r} in {path}"
    )
