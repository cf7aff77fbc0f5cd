"""Files from the Hugging Face Hub, through its own client and cache.

The client reads `HF_ENDPOINT`, `HF_TOKEN`, `HF_HUB_OFFLINE` and `HF_HOME`; it
is imported when it is first needed, and what it raises is said in our words.
"""

import re
import warnings
from collections.abc import Sequence
from pathlib import Path

from keras_wmgm.presets.handles import HubHandle
from keras_wmgm.utils.writing import as_path
from keras_wmgm.version import __version__

COMMIT = re.compile(r"[0-9a-f]{40}")
TIMEOUT = 4.0
"""Seconds to find out that there is no network."""

TRIES = 4
"""Downloads are begun this often where the connection breaks."""


def fetch(
    source: HubHandle,
    names: Sequence[str],
    cache_dir: str | None = None,
    token: str | None = None,
    local_files_only: bool = False,
) -> Path:
    """Return a folder of the cache that holds some files of a repository.

    A full commit hash never changes, so where its files are cached nothing
    is asked over the network. For a branch or a tag the Hub is asked. Where it
    cannot be reached, or where the cache is full or read-only, what is cached
    already is used.

    Args:
        source: The repository and its revision.
        names: The files.
        cache_dir: The cache; by default the client's.
        token: A token, where not the client's own.
        local_files_only: Ask nothing over the network.

    Raises:
        OSError: In its own words for each: no repository, no access, no
            revision, no file, no network.
    """
    from huggingface_hub import constants

    options = _options(source, names, cache_dir, token)
    offline = local_files_only or constants.HF_HUB_OFFLINE
    if offline or COMMIT.fullmatch(source.revision):
        folder = _cached(names, options)
        if folder or not offline:
            return folder or _download(source, names, options)
        raise _not_cached(source, cache_dir, local_files_only)
    return _download(source, names, options)


def cached_commit(
    source: HubHandle,
    names: Sequence[str],
    cache_dir: str | None = None,
    token: str | None = None,
    local_files_only: bool = True,
) -> str | None:
    """Return the commit that a branch has in the cache, with some files.

    `None` if it has none, or not all of the files.
    """
    folder = _cached(names, _options(source, names, cache_dir, token))
    return folder and folder.name


def follow(
    source: HubHandle,
    names: Sequence[str],
    cache_dir: str | None = None,
    token: str | None = None,
    local_files_only: bool = False,
) -> None:
    """Let the cache know where a branch points, once its files are there.

    The client would note it before it downloads, and then an old copy could
    not be found any more if that failed.

    Args:
        source: As of `fetch`.
        names: As of `fetch`.
        cache_dir: As of `fetch`.
        token: As of `fetch`.
        local_files_only: As of `fetch`.
    """
    from huggingface_hub.errors import HTTPError

    try:
        _snapshot(_options(source, names, cache_dir, token))
    except (HTTPError, OSError):
        pass  # the files are there; the next call notes it


def is_cached(
    source: HubHandle, name: str, cache_dir: str | None = None
) -> bool:
    """Whether a file of a repository is in the cache."""
    from huggingface_hub import try_to_load_from_cache

    path = try_to_load_from_cache(
        source.repo_id,
        name,
        cache_dir=cache_dir and as_path(cache_dir),
        revision=source.revision,
    )
    return isinstance(path, str)


def _options(source, names, cache_dir, token):
    """Return the arguments of the client's `snapshot_download`."""
    return {
        "repo_id": source.repo_id,
        "revision": source.revision,
        "allow_patterns": list(names),
        "cache_dir": cache_dir,
        "token": token,
        "library_name": "keras_wmgm",
        "library_version": __version__,
    }


def _cached(names, options) -> Path | None:
    """Return the cached folder, if all the files are in it."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(**options, local_files_only=True))
    except LocalEntryNotFoundError:
        return None
    return folder if all((folder / n).is_file() for n in names) else None


def _download(source, names, options) -> Path:
    from huggingface_hub.errors import HTTPError

    try:
        commit = _find_commit(source, names, options["token"])
        by_commit = {**options, "revision": commit}
        return _cached(names, by_commit) or _snapshot(by_commit)
    except (HTTPError, OSError) as error:
        reason = first_cause(error)
        usable = _is_ours(error) or _unreachable(reason)
        folder = _cached(names, options) if usable else None
        if folder and _is_ours(error):
            warnings.warn(
                f"{source} may be newer, and cannot be kept in the cache "
                f"({error}); what is cached already is used.",
                stacklevel=2,
            )
        if folder:
            return folder
        raise _translated(source, reason, options["cache_dir"]) from error


def _find_commit(source, names, token) -> str:
    """Return the commit of a revision, which must have the files.

    This does not wait for long.
    """
    from huggingface_hub import HfApi

    info = HfApi(token=token).model_info(
        source.repo_id, revision=source.revision, timeout=TIMEOUT
    )
    there = {file.rfilename for file in info.siblings or ()}
    missing = [name for name in names if name not in there]
    if missing:
        raise MissingFile(
            f"The repository has no {missing[0]}: it is no preset of "
            f"keras_wmgm, or not a whole one. Received: {source}"
        )
    return info.sha


def _snapshot(options) -> Path:
    """Download, and go on where a connection breaks.

    The client goes on by itself after most breaks; files that are done are
    not fetched again.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.errors import HTTPError

    for _ in range(TRIES - 1):
        try:
            return Path(snapshot_download(**options))
        except (HTTPError, OSError) as error:
            if isinstance(error, HfHubHTTPError) or _is_ours(error):
                raise
    return Path(snapshot_download(**options))


class MissingFile(FileNotFoundError):
    """A repository without one of a preset's files."""


def _is_ours(error) -> bool:
    """Whether it is this machine's: a full disk, or no right to write."""
    network = isinstance(error, (ConnectionError, TimeoutError))
    return bool(getattr(error, "errno", None)) and not network


def first_cause(error: BaseException) -> BaseException:
    """Return the Hub's answer, where the client hides it behind another."""
    from huggingface_hub.errors import HfHubHTTPError

    cause = error.__cause__
    return cause if isinstance(cause, HfHubHTTPError) else error


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says."""
    return str(error).strip().split("\n")[0]


def _status(error) -> int | None:
    return getattr(getattr(error, "response", None), "status_code", None)


def _unreachable(error) -> bool:
    """Whether a later try, or the cache, may succeed."""
    if isinstance(error, MissingFile):
        return False
    status = _status(error)
    return status is None or status == 429 or status >= 500


def _translated(source, error, cache_dir):
    """Return the error to raise: what is wrong, and what to do about it."""
    if isinstance(error, MissingFile):
        return error
    if _is_ours(error):
        return _not_written(source, error, cache_dir)
    known = explained(source.repo_id, error, source)
    return known or _not_cached(source, cache_dir, False, error)


def _not_written(source, error, cache_dir):
    from huggingface_hub import constants

    return OSError(
        error.errno,
        f"The preset cannot be kept in the cache ({error}). What is cached "
        "already is safe: make room, or choose another place with "
        "`cache_dir=...` or HF_HOME. Received: "
        f"{source}, cache {cache_dir or constants.HF_HUB_CACHE}",
    )


def explained(repo_id: str, error: Exception, received: object):
    """Return the Hub's answer in our words, or `None` if it gave none."""
    cls, text = _MESSAGES.get(_kind(error), (None, ""))
    return cls and cls(f"{text.format(repo=repo_id)} Received: {received}")


def _kind(error) -> str | int | None:
    """Return a key of `_MESSAGES`: the client's name for it, or a status."""
    for cls in type(error).__mro__:
        if cls.__name__ in _MESSAGES:
            return cls.__name__
    status = _status(error)
    return 500 if status and status >= 500 else status


_MESSAGES = {
    "GatedRepoError": (
        PermissionError,
        "The repository is gated: accept its conditions on its page, and "
        "give a token of that account (`token=...` or HF_TOKEN).",
    ),
    "RevisionNotFoundError": (
        FileNotFoundError,
        "The repository has no such revision; look at its branches, tags and "
        "commits, or leave @revision out for the newest.",
    ),
    "RemoteEntryNotFoundError": (
        FileNotFoundError,
        "The repository lacks a file that it lists; try again, or tell its "
        "owner.",
    ),
    401: (
        PermissionError,
        "The Hub asks for a token: {repo} is private, or there is none of "
        "that name (to strangers the Hub says the same). Check the spelling; "
        "log in with `hf auth login`, set HF_TOKEN, or pass `token=...`.",
    ),
    403: (
        PermissionError,
        "Your token may not do this with {repo}; ask its owner for access, "
        "or use a token with the right to.",
    ),
    404: (
        FileNotFoundError,
        "There is no repository {repo} on the Hub, or your token may not "
        "know of it. Check the spelling of org/name.",
    ),
    429: (
        ConnectionError,
        "The Hub has had too many requests from here; wait a few minutes, or "
        "give a token, which raises the limit.",
    ),
    500: (
        ConnectionError,
        "The Hub answers, but is out of order; try again later.",
    ),
}


def _not_cached(source, cache_dir, local_files_only, error=None):
    from huggingface_hub import constants

    if local_files_only:
        why, remedy = "`local_files_only=True`", "leave it out once"
    elif constants.HF_HUB_OFFLINE:
        why, remedy = "HF_HUB_OFFLINE is set", "unset it once"
    else:
        first = first_line(error)
        why = f"{constants.ENDPOINT} cannot be reached ({first[:200]})"
        remedy = "connect once"
    return ConnectionError(
        f"The preset is not in the cache, and {why}: {remedy} to download "
        "it, or say where it is cached with `cache_dir=...` or HF_HOME. "
        f"Received: {source}, cache {cache_dir or constants.HF_HUB_CACHE}"
    )
