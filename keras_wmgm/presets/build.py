"""From a checked configuration and a checked file to a model."""

import copy
import json
import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import keras

from keras_wmgm.presets.hub import first_line
from keras_wmgm.presets.registry import CONFIG
from keras_wmgm.utils.garbage import collection_paused

MAX_WEIGHTS = 5e8
UNMAKEABLE = (
    ArithmeticError,
    AttributeError,
    KeyError,
    RuntimeError,
    TypeError,
    ValueError,
)
PLAIN = ("keras.src.models.functional", "keras.src.models.sequential")


@collection_paused()
def build(config: dict, custom_objects: dict, folder: Path) -> keras.Model:
    """Make the model of a configuration that has been checked.

    Plain layers that are wide only together show it in no single number, and
    Keras builds a layer for whatever shape stands beside it. So a model of
    such is first made without values, which takes no memory, and counted.

    Args:
        config: The configuration.
        custom_objects: Classes of the caller's own.
        folder: Where it is from, for messages.

    Raises:
        ValueError: If it describes no model, or one of too many weights.
    """
    if custom_objects or _may_be_wide(config):
        # In a thread of its own: Keras keeps a list of what has no values
        # yet, for each thread, and gives it values when it next can.
        with ThreadPoolExecutor(1) as thread:
            counting = thread.submit(_dry_count, config, custom_objects, folder)
        count = counting.result()
        if count > MAX_WEIGHTS:
            raise ValueError(
                "The configuration asks for networks of far more weights than "
                f"a preset may have, {MAX_WEIGHTS:.0e}. "
                f"Received: {count:.0e} in {folder}"
            )
    return _make(config, custom_objects, folder)


def _dry_count(config, custom_objects, folder):
    with keras.StatelessScope(initialize_variables=False):
        return _count(_make(config, custom_objects, folder))


def _may_be_wide(config):
    """Whether parts come as plain layers, or with shapes to be built for."""
    parts = config.get("config", {})
    text = json.dumps(parts)
    return any(module in text for module in PLAIN) or _has_shapes(parts)


def _has_shapes(node):
    if isinstance(node, list):
        return any(map(_has_shapes, node))
    if not isinstance(node, dict):
        return False
    shapes = node.get("build_config") or {}
    return any(shapes.values()) or any(map(_has_shapes, node.values()))


def _make(config, custom_objects, folder) -> keras.Model:
    try:
        model = keras.saving.deserialize_keras_object(
            copy.deepcopy(config), custom_objects, safe_mode=True
        )
    except UNMAKEABLE as error:
        raise ValueError(
            f"{CONFIG} describes no model this version of keras_wmgm can "
            f"make: {first_line(error).rstrip('.')}. Received: {folder}"
        ) from error
    if not (hasattr(model, "networks") and hasattr(model, "pyramid")):
        raise ValueError(
            "A preset is a `MultiscaleModel`. "
            f"Received: {type(model).__name__!r} in {folder}"
        )
    return model


@collection_paused()
def fill(
    model: keras.Model, path: Path, count: int, places: list[str] | None
) -> None:
    """Load all weights from a file that has been checked.

    Args:
        model: What they are for.
        path: The file.
        count: How many numbers it holds. Keras passes over some that lack.
        places: Where in the file each of `model.weights` stands; `None` to
            let Keras look for them.
    """
    needed = _count(model)
    if count != needed:
        raise ValueError(
            "The weights do not fit the configuration beside them, which "
            f"needs {needed} numbers. Received: {count} in {path}"
        )
    try:
        if places:
            _assign(model.weights, places, path)
        else:
            model.load_weights(path)
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(
            "The weights do not fit the configuration beside them: "
            f"{first_line(error).rstrip('.')}. Received: {path}"
        ) from error


def _assign(weights, places, path):
    with h5py.File(path) as file:
        for weight, place in zip(weights, places, strict=True):
            values = file[place][()]
            if values.shape != tuple(weight.shape):
                raise ValueError(
                    f"{weight.path} has the shape {tuple(weight.shape)}, and "
                    f"{place} {values.shape}"
                )
            if values.dtype == "float16":
                # JAX would compile a conversion for every shape.
                values = values.astype("float32")
            weight.assign(values)


def _count(model) -> int:
    return sum(math.prod(weight.shape) for weight in model.weights)
