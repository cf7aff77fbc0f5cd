"""Where a preset's files are, and what is checked before one is opened."""

from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from pathlib import Path

from keras_wmgm.presets import hub
from keras_wmgm.presets.folder import sha256
from keras_wmgm.presets.handles import HubHandle


@dataclass(frozen=True)
class Source:
    """A preset's folder, on this machine or on the Hub.

    Attributes:
        place: The folder or the repository.
        sums: The sha256 that files must have, by name.
        options: `cache_dir`, `token` and `local_files_only` for the Hub.
    """

    place: Path | HubHandle
    sums: Mapping[str, str] = field(default_factory=dict)
    options: Mapping = field(default_factory=dict)

    def find(self, names: Sequence[str]) -> Path:
        """Return the folder that holds some files, each as it should be.

        Raises:
            OSError: If a file cannot be had.
            ValueError: If a file lies outside, or its checksum differs.
        """
        folder, root = self.place, self.place
        if isinstance(self.place, HubHandle):
            folder = hub.fetch(self.place, names, **self.options)
            root = folder.parents[2]  # the cache: snapshots link into it
        elif self.place.parent.name == "snapshots":
            root = self.place.parents[1]  # the same, given as a path
        for name in names:
            _check_inside(folder / name, root)
            if name in self.sums:
                self.check_sum(folder / name, self.sums[name])
        return folder

    def pinned(self, folder: Path) -> "Source":
        """Return this source, held at the commit that `folder` is of."""
        if isinstance(self.place, Path):
            return self
        place = HubHandle(self.place.repo_id, folder.name)
        return Source(place, self.sums, self.options)

    def cached(self, names: Sequence[str] = ()) -> "Source | None":
        """Return this source at the commit that is cached, if it is a branch.

        `None` for a folder, a commit, and where a file is not in the cache.
        """
        if isinstance(self.place, Path):
            return None
        commit = hub.cached_commit(self.place, names, **self.options)
        if commit in (None, self.place.revision):
            return None
        place = HubHandle(self.place.repo_id, commit)
        return Source(place, self.sums, self.options)

    def settle(self, pinned: "Source", names: Sequence[str]) -> None:
        """Note that a commit, whose files are there, is this branch's."""
        if pinned.place == self.place or self.options.get("local_files_only"):
            return
        if self.cached() != pinned:
            hub.follow(self.place, names, **self.options)

    def check_sum(self, path: Path, expected: str) -> None:
        """Refuse a file of another content; from a cache, remove it.

        Raises:
            ValueError: If its sha256 is not the expected one.
        """
        actual = sha256(path)
        if actual == expected:
            return
        removed = ""
        if isinstance(self.place, HubHandle):
            path.resolve().unlink(missing_ok=True)
            path.unlink(missing_ok=True)
            removed = " It has been removed, so that it is fetched anew."
        raise ValueError(
            f"{path.name} is damaged or not this preset's: its sha256 must "
            f"be {expected}.{removed} Received: {actual} of {path}"
        )


def _check_inside(path, root):
    """Refuse what is not a file of the preset's own folder."""
    if not path.is_file():
        raise FileNotFoundError(
            f"A preset folder has a {path.name}, and there is none. "
            f"Received: {path.parent}"
        )
    if not path.resolve().is_relative_to(root.resolve()):
        raise ValueError(
            f"{path.name} of a preset must be a file in its folder, not a "
            f"link out of it. Received: {path} -> {path.resolve()}"
        )
