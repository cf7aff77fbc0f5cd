"""What a preset may be called by."""

import os
import re
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from keras_wmgm.presets.registry import REGISTRY
from keras_wmgm.presets.registry import Preset
from keras_wmgm.utils.writing import as_path

PREFIX = "hf://"
NAME = r"[A-Za-z0-9][\w.\-]*"
REPO = re.compile(rf"{NAME}/{NAME}")
REVISION = re.compile(r"[\w][\w.\-/]*")


@dataclass(frozen=True)
class HubHandle:
    """A repository on the Hub, and a branch, tag or commit of it."""

    repo_id: str
    revision: str = "main"

    def __str__(self):
        return f"{PREFIX}{self.repo_id}@{self.revision}"


def parse_handle(handle: Any) -> Preset | HubHandle | Path:
    """Return what a handle stands for.

    Args:
        handle: A registered name, `hf://org/name`, `hf://org/name@revision`,
            or the path of a folder.

    Raises:
        TypeError: If it is neither a string nor a path.
        ValueError: For a malformed `hf://` handle, or one without `hf://`.
        FileNotFoundError: For an unknown name, or a folder that is not there.
    """
    if not isinstance(handle, (str, os.PathLike)):
        raise TypeError(
            f"A preset's handle is a name or a path. Received: {handle!r}"
        )
    if handle in REGISTRY:
        return REGISTRY[handle]
    if str(handle).startswith(PREFIX):
        return parse_hub_handle(handle)
    folder = as_path(handle)
    if folder.is_dir():
        return folder
    raise _unknown(str(handle))


def parse_hub_handle(handle: str) -> HubHandle:
    """Return the parts of `hf://org/name[@revision]`."""
    repo_id, at, revision = handle.removeprefix(PREFIX).partition("@")
    check_repo_id(repo_id, handle)
    revision = revision if at else "main"
    if not REVISION.fullmatch(revision) or ".." in revision:
        raise ValueError(
            "After the @ of a Hub handle stands a branch, a tag or a commit. "
            f"Received: {handle!r}"
        )
    return HubHandle(repo_id, revision)


def check_repo_id(repo_id: Any, received: Any = None) -> str:
    """Return `org/name`, or refuse what is not."""
    plain = isinstance(repo_id, str) and REPO.fullmatch(repo_id)
    if not plain or ".." in repo_id or "--" in repo_id:
        raise ValueError(
            "A Hub repository is written org/name, as a handle "
            f"hf://org/name or hf://org/name@revision. "
            f"Received: {received or repo_id!r}"
        )
    return repo_id


def _unknown(handle):
    if REPO.fullmatch(handle.partition("@")[0]):
        return ValueError(
            f"There is no folder {handle!r}. If it is a repository on the "
            f"Hugging Face Hub, write '{PREFIX}{handle}'. "
            f"Received: {handle!r}"
        )
    near = get_close_matches(handle, REGISTRY, n=3, cutoff=0.4)
    hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
    return FileNotFoundError(
        f"A preset is one of {', '.join(map(repr, REGISTRY))}, a repository "
        f"on the Hub as 'hf://org/name', or a folder.{hint} "
        f"Received: {handle!r}"
    )
