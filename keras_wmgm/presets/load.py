"""From a handle to a model."""

import os
from difflib import get_close_matches
from pathlib import Path

import keras

from keras_wmgm.presets.folder import load_folder
from keras_wmgm.presets.registry import REGISTRY


def from_preset(
    handle: str | os.PathLike, load_weights: bool = True
) -> keras.Model:
    """Make the model of a preset.

    Args:
        handle: A registered name (see `keras_wmgm.presets.REGISTRY`) or the
            path of a preset folder.
        load_weights: Whether to load the preset's weights. Without, the model
            is as it is before training.

    Returns:
        A model of the class the preset names.

    Raises:
        ValueError: For a preset without weights where they are asked for,
            and for damaged files.
        FileNotFoundError: For an unknown name, and a folder that is no
            preset.
        TypeError: For a handle that is neither a name nor a path.

    Example:

    >>> model = keras_wmgm.from_preset("paper_wmgm_128", load_weights=False)
    >>> model.networks["detail"].count_params() > 36_000_000
    True
    """
    if not isinstance(handle, (str, os.PathLike)):
        raise TypeError(
            f"A preset's handle is a name or a path. Received: {handle!r}"
        )
    if load_weights and handle in REGISTRY:
        if not REGISTRY[handle].has_weights:
            raise ValueError(
                "There are no weights for this preset; `load_weights=False` "
                "makes the model without. "
                f"Received: {handle!r}"
            )
    return load_folder(preset_folder(handle), load_weights)


def preset_folder(handle: str | os.PathLike) -> Path:
    """Return the folder of a preset, by its name or path.

    Raises:
        FileNotFoundError: If there is none.
    """
    if handle in REGISTRY:
        return REGISTRY[handle].folder
    folder = Path(handle)
    if not folder.is_dir():
        near = get_close_matches(str(handle), REGISTRY, n=1, cutoff=0.4)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise FileNotFoundError(
            "A preset is one of "
            f"{', '.join(map(repr, REGISTRY))}, or a folder.{hint} "
            f"Received: {str(handle)!r}"
        )
    return folder
