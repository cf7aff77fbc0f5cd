"""From a preset folder to the Hugging Face Hub, in one commit."""

import io
import os
from functools import cache
from functools import partial
from pathlib import Path

from keras_wmgm.presets.card import SAMPLES
from keras_wmgm.presets.card import model_card
from keras_wmgm.presets.folder import FILES
from keras_wmgm.presets.folder import METADATA
from keras_wmgm.presets.handles import PREFIX
from keras_wmgm.presets.handles import check_repo_id
from keras_wmgm.presets.hub import TIMEOUT
from keras_wmgm.presets.hub import explained
from keras_wmgm.presets.hub import first_cause
from keras_wmgm.presets.hub import first_line
from keras_wmgm.presets.load import from_preset
from keras_wmgm.presets.safety import read_json
from keras_wmgm.presets.source import Source
from keras_wmgm.utils.checks import check_count
from keras_wmgm.utils.files import image_grid
from keras_wmgm.utils.files import to_pillow
from keras_wmgm.utils.writing import as_path
from keras_wmgm.version import __version__

CARD = "README.md"
BESIDE_CARD = ("LICENSE", "metrics.json", "recipe.toml")
"""What goes with a card of the author's own, beside the pictures it shows."""

CHANGED = 412
TRIES = 3


def upload(
    folder: str | os.PathLike,
    repo_id: str,
    private: bool = False,
    token: str | None = None,
    samples: int = 16,
    commit_message: str | None = None,
    custom_objects: dict[str, type] | None = None,
    license: str | None = None,
    card: str | os.PathLike | None = None,
) -> str:
    """Upload a preset folder to the Hugging Face Hub.

    The repository is made if it is not there. All files arrive in one commit
    or none does. Where the repository has no model card it gets the one in
    `card`, with the licence, metrics, recipe and its pictures beside it; or, if
    there is none, one that is written from the preset's metadata, with a grid
    of samples. A card that is there is left alone.

    Args:
        folder: A preset folder. It is loaded first, so that what arrives can
            be loaded.
        repo_id: `org/name`.
        private: Whether a new repository is private.
        token: A token that may write; by default `HF_TOKEN`, or that of
            `hf auth login`.
        samples: The number of pictures in a card that is written; 0 for none.
        commit_message: By default "Upload a keras_wmgm preset".
        custom_objects: Classes of your own that the preset names; who loads
            it has to hand them in too.
        license: Of the weights, for a card that is written; by default the
            metadata's.
        card: A folder with a `README.md`; by default the preset's own.

    Returns:
        The handle that loads exactly what was uploaded,
        `hf://org/name@commit`.

    Raises:
        ValueError: If the folder is no preset that loads, or the Hub cannot
            read the header of its card.
        OSError: If the Hub refuses, or cannot be reached.

    Example:

    ```python
    handle = keras_wmgm.presets.upload("my_preset", "me/cats", private=True)
    model = keras_wmgm.from_preset(handle)
    ```
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HTTPError

    check_repo_id(repo_id)
    check_count("samples", samples, minimum=0)
    folder = as_path(folder)
    model = from_preset(folder, custom_objects=custom_objects)
    files = {name: folder / name for name in FILES}
    own = _own_card(as_path(card or folder), required=card is not None)
    write = cache(partial(_card, model, folder, repo_id, samples, license))
    message = commit_message or "Upload a keras_wmgm preset"
    api = HfApi(
        token=token, library_name="keras_wmgm", library_version=__version__
    )
    try:
        api.create_repo(repo_id, private=private, exist_ok=True)
        commit = _commit(api, repo_id, files, lambda: own or write(), message)
    except (HTTPError, OSError, RuntimeError) as error:
        raise _not_uploaded(repo_id, first_cause(error)) from error
    handle = f"{PREFIX}{repo_id}@{commit}"
    print(f'Uploaded. Load it with keras_wmgm.from_preset("{handle}")')
    return handle


def _commit(api, repo_id, files, card, message) -> str:
    """Put files into a repository, with a card if it has none.

    Args:
        api: The client.
        repo_id: The repository.
        files: What is put there, by name.
        card: Function that gives the files of a card.
        message: Of the commit.

    Returns:
        The commit's hash.
    """
    from huggingface_hub.errors import HfHubHTTPError

    for tries_left in reversed(range(TRIES)):
        newest = api.model_info(repo_id, timeout=TIMEOUT)
        there = {file.rfilename for file in newest.siblings or ()}
        sent = files if CARD in there else files | card()
        try:
            return _commit_upon(api, repo_id, newest.sha, sent, message)
        except HfHubHTTPError as error:
            # Somebody else has committed, perhaps a card: look again.
            if error.response.status_code != CHANGED or not tries_left:
                raise


def _commit_upon(api, repo_id, parent, files, message) -> str:
    from huggingface_hub import CommitOperationAdd

    return api.create_commit(
        repo_id,
        [CommitOperationAdd(name, file) for name, file in files.items()],
        commit_message=message,
        parent_commit=parent,
    ).oid


def _own_card(folder, required) -> dict[str, Path]:
    """Return the author's card, what belongs to it and what it shows."""
    if not (folder / CARD).is_file():
        if required:
            raise FileNotFoundError(
                f"`card` is a folder with a {CARD}. Received: {folder}"
            )
        return {}
    text = (folder / CARD).read_text(encoding="utf-8", errors="replace")
    pictures = [p.name for p in sorted(folder.glob("*.png")) if p.name in text]
    names = [n for n in (*BESIDE_CARD, *pictures) if (folder / n).is_file()]
    Source(folder).find([CARD, *names])  # refuses links out of the folder
    return {name: folder / name for name in (CARD, *names)}


def _card(model, folder, repo_id, samples, license):
    """Return the card, and the pictures it shows, by name."""
    facts = read_json(folder / METADATA)
    facts["license"] = license or facts.get("license")
    card = model_card(repo_id, facts, model.image_shape, samples > 0)
    files = {CARD: card.encode()}
    if samples:
        steps = facts.get("num_steps")
        kwargs = {"num_steps": steps} if isinstance(steps, int) else {}
        images = model.generate(samples, seed=0, verbose=0, **kwargs)
        files[SAMPLES] = _png(image_grid(images))
    return files


def _png(image) -> bytes:
    file = io.BytesIO()
    to_pillow(image).save(file, format="PNG")
    return file.getvalue()


def _not_uploaded(repo_id, error):
    known = explained(repo_id, error, repo_id)
    first = first_line(error)[:200]
    remedy = (
        "a hub without Xet storage needs HF_HUB_DISABLE_XET=1"
        if "xet" in first
        else "try again when the Hub can be reached"
    )
    return known or ConnectionError(
        f"Nothing was uploaded ({first}); {remedy}. Received: {repo_id!r}"
    )
