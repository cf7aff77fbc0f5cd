"""What there is: a row for each preset that has a name."""

import os
from typing import Any

from keras_wmgm.presets.handles import HubHandle
from keras_wmgm.presets.hub import is_cached
from keras_wmgm.presets.registry import REGISTRY
from keras_wmgm.presets.registry import WEIGHTS
from keras_wmgm.presets.registry import Preset


def table(cache_dir: str | os.PathLike | None = None) -> list[dict[str, Any]]:
    """Return what is known of each registered preset. No network is asked.

    Args:
        cache_dir: Where downloads are kept; by default in the Hub's cache.

    Returns:
        Dictionaries with the keys `name`, `class`, `image_size`,
        `parameters`, `steps`, `fd`, `fd_images`, `license`, `bytes`,
        `weights` and `description`. `weights` is `"none yet"`, `"here"`
        (beside the configuration), `"cached"` or `"to download"`; the other
        values are `None` where they are not known.

    Example:

    >>> rows = {row["name"]: row for row in keras_wmgm.presets.table()}
    >>> rows["celebahq_128"]["weights"]
    'none yet'
    """
    return [
        {
            "name": name,
            "class": preset.class_name,
            "image_size": preset.image_size,
            "parameters": preset.parameters,
            "steps": preset.steps,
            "fd": preset.fd,
            "fd_images": preset.fd_images,
            "license": preset.license,
            "bytes": preset.bytes,
            "weights": weights_of(preset, cache_dir),
            "description": preset.description,
        }
        for name, preset in REGISTRY.items()
    ]


def weights_of(
    preset: Preset, cache_dir: str | os.PathLike | None = None
) -> str:
    """Return where a preset's weights are, in a word or two."""
    if not preset.has_weights:
        return "none yet"
    if not preset.repo:
        return "here"
    source = HubHandle(preset.repo, preset.revision)
    cached = is_cached(source, WEIGHTS, cache_dir)
    return "cached" if cached else "to download"
