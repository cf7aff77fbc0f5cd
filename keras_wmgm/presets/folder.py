"""A preset folder: what draws, and what is needed to train it further.

    config.json         the model's configuration, the critic's included
    metadata.json       versions, class, parameters, sha256 of the weights,
                        and where in their file each stands
    model.weights.h5    the networks that draw (averaged) and the band
                        statistics; no critic, no optimizer

The files are Keras's own, so `keras.saving.load_model(folder)` opens it too.
"""

import copy
import hashlib
import io
import json
import os
import zipfile

import h5py
import keras
import numpy as np

from keras_wmgm.presets.registry import CONFIG
from keras_wmgm.presets.registry import WEIGHTS
from keras_wmgm.presets.safety import check_config
from keras_wmgm.presets.safety import check_size
from keras_wmgm.presets.safety import read_json
from keras_wmgm.utils.checks import check_choice
from keras_wmgm.utils.finite import check_finite
from keras_wmgm.utils.lock import NAME as LOCK_NAME
from keras_wmgm.utils.writing import as_path
from keras_wmgm.utils.writing import keras_archive
from keras_wmgm.utils.writing import remove_leftovers
from keras_wmgm.utils.writing import write_together
from keras_wmgm.version import __version__

METADATA = "metadata.json"
FILES = (CONFIG, METADATA, WEIGHTS)
DTYPES = (None, "float32", "float16")
OTHERS = {"keras", "keras_wmgm", "builtins", "None"}
"""Packages whose classes are not the user's own."""


def save_folder(
    model: keras.Model,
    folder: str | os.PathLike,
    dtype: str | None = None,
    metadata: dict | None = None,
) -> None:
    """Write a model as a preset folder.

    What `from_preset` would refuse is refused here, before anything is
    written. All files are written under other names, and only then renamed,
    so a failure while writing leaves a preset that was there as it was.

    Args:
        model: A `MultiscaleModel` with band statistics.
        folder: Where to; made if it is not there. A preset that is there
            already is replaced; a folder of anything else is refused.
        dtype: `"float16"` to store the networks in half the bytes.
        metadata: More to say in `metadata.json`, beside what is always said
            there: versions, class, parameters, checksum, `weights`.

    Raises:
        FileExistsError: If the folder holds other things.
        ValueError: For an unknown dtype, weights that are not finite or that
            float16 cannot hold, weights that are not float32 or float16
            themselves, and a configuration that `from_preset` would refuse.
        OSError: If the disk is full, or may not be written to.
    """
    check_choice("dtype", dtype, DTYPES)
    folder = as_path(folder)
    _check_free(folder)
    _check_dtypes(model)
    weights = _averaged_weights(model)
    config = preset_config(model)
    check_config(config, _own_classes(config))
    # Keras empties the configuration of a functional model it reads.
    twin = keras.saving.deserialize_keras_object(copy.deepcopy(config))
    facts = {
        **json.loads(json.dumps(dict(metadata or {}))),
        "keras_wmgm_version": __version__,
        "keras_version": keras.__version__,
        "class": type(model).__name__,
        "parameters": count_parameters(twin),
        "weights": _places(twin),
    }
    for role in twin.parts.present:
        for weight, value in zip(role.weights, weights[role.name], strict=True):
            weight.assign(value)
    twin.pyramid.set_weights(model.pyramid.get_weights())
    content = _weights_file(twin)
    content = _halve(content) if dtype == "float16" else content
    facts["sha256"] = {WEIGHTS: hashlib.sha256(content).hexdigest()}
    _write(
        folder,
        {
            # A folder with metadata is a preset, and may be written anew.
            METADATA: _json(METADATA, facts),
            WEIGHTS: content,
            CONFIG: _json(CONFIG, config),
        },
    )


def _json(name, content) -> bytes:
    """Return a file of JSON, no larger than may be read again."""
    written = (json.dumps(content, indent=1) + "\n").encode()
    check_size(name, len(written))
    return written


def _write(folder, contents) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    remove_leftovers(folder, *contents)
    write_together(folder, contents)


def _own_classes(node) -> set[str]:
    """Return the names of the user's own classes in a configuration.

    Whoever loads the preset has to hand them in.
    """
    if isinstance(node, list):
        return set().union(*map(_own_classes, node))
    if not isinstance(node, dict):
        return set()
    names = set().union(*map(_own_classes, node.values()))
    package = str(node.get("module")).partition(".")[0]
    if isinstance(node.get("config"), dict) and package not in OTHERS:
        names.add(str(node.get("registered_name")))
    return names


def preset_config(model: keras.Model) -> dict:
    """Return the configuration of what draws.

    Networks that only training needs are described, and not made from it.
    """
    serialize = keras.saving.serialize_keras_object
    config = serialize(model)
    config.pop("compile_config", None)
    details = config["config"]["details"] or []
    details = details if isinstance(details, list) else [details]
    factors = [config["config"]["coarse"], *details]
    for described, part in zip(factors, model.parts, strict=True):
        described["config"] = serialize(part.factor.get_preset_config())
    return json.loads(json.dumps(config))


def _averaged_weights(model):
    """Return averaged weights by role, and leave `model` as it was."""
    averaged = model.averaged
    model.use_average(True)
    # Copies: on torch NumPy sees what is assigned later.
    weights = {
        role.name: [
            np.array(keras.ops.convert_to_numpy(weight))
            for weight in role.weights
        ]
        for role in model.parts.present
    }
    try:
        check_finite(model.weights, "save_to_preset")
    finally:
        model.use_average(averaged)
    return weights


def _check_free(folder):
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(
            f"A preset is a folder, and there is a file of that name. "
            f"Received: {folder}"
        )
    # What a killed process left is no reason to refuse.
    names = [p.name for p in folder.iterdir()] if folder.is_dir() else []
    others = [
        name
        for name in names
        if name != LOCK_NAME and not name.startswith(".new.")
    ]
    if others and not _is_preset(folder):
        raise FileExistsError(
            "The folder is not empty and holds no preset that could be "
            f"replaced; choose another. Received: {folder}"
        )


def _check_dtypes(model):
    dtypes = {keras.backend.standardize_dtype(w.dtype) for w in model.weights}
    if not dtypes <= {"float16", "float32"}:
        raise ValueError(
            "A preset holds weights in float32 or float16; make the model "
            "under `mixed_bfloat16`, whose weights are float32. "
            f"Received: weights in {', '.join(sorted(dtypes))}"
        )


def _is_preset(folder):
    try:
        return "keras_wmgm_version" in read_json(folder / METADATA)
    except (OSError, ValueError):
        return False


def _places(model):
    """Return where each weight stands in the file that Keras writes.

    A reader who knows it need not look for them, which takes Keras longer
    than all the rest. Each weight is given its number, and the file tells.
    """
    for number, weight in enumerate(model.weights):
        weight.assign(np.full(weight.shape, number, "float32"))
    found = {}
    with h5py.File(io.BytesIO(_weights_file(model))) as file:

        def note(name, item):
            if isinstance(item, h5py.Dataset):
                found[int(item[(0,) * item.ndim])] = name

        file.visititems(note)
    return [found[number] for number in sorted(found)]


def _weights_file(model) -> bytes:
    """Return the content of Keras's weights file."""
    with zipfile.ZipFile(io.BytesIO(keras_archive(model))) as file:
        return file.read(WEIGHTS)


def _halve(content):
    """Return the content of an h5 file with its networks in float16.

    The band statistics, a few numbers, stay as they are.
    """
    source, target = io.BytesIO(content), io.BytesIO()
    # The newer layout: a tenth less for many small arrays.
    latest = {"libver": "latest"}
    with h5py.File(source) as old, h5py.File(target, "w", **latest) as new:

        def copy(name, item):
            if not isinstance(item, h5py.Dataset):
                new.require_group(name).attrs.update(item.attrs)
                return
            values = item[()]
            halved = values.dtype == np.float32 and "pyramid" not in name
            if halved:
                values = _to_float16(name, values)
            new.create_dataset(name, data=values).attrs.update(item.attrs)

        new.attrs.update(old.attrs)
        old.visititems(copy)
    return target.getvalue()


def _to_float16(name, values):
    with np.errstate(over="ignore"):
        half = values.astype("float16")
    if not np.isfinite(half).all():
        raise NotInFloat16Error(
            "float16 cannot hold these weights, save them as they are "
            f"(dtype=None). Received: {name} up to {np.abs(values).max()}"
        )
    return half


class NotInFloat16Error(ValueError):
    """Raised for weights that are too large for float16."""


def count_parameters(model: keras.Model) -> int:
    """Return the number of trainable parameters of what draws."""
    return sum(
        int(np.prod(variable.shape))
        for network in model.networks.values()
        for variable in network.trainable_variables
    )


def sha256(path: str | os.PathLike) -> str:
    """Return the sha256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
