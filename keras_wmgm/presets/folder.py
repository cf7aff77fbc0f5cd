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
from pathlib import Path

import h5py
import keras
import numpy as np

from keras_wmgm.presets.registry import CONFIG
from keras_wmgm.presets.registry import WEIGHTS
from keras_wmgm.presets.safety import read_json
from keras_wmgm.utils.checks import check_choice
from keras_wmgm.version import __version__

METADATA = "metadata.json"
FILES = (CONFIG, METADATA, WEIGHTS)
DTYPES = (None, "float32", "float16")


def save_folder(
    model: keras.Model,
    folder: str | os.PathLike,
    dtype: str | None = None,
    metadata: dict | None = None,
) -> None:
    """Write a model as a preset folder.

    All files are written under other names, and only then renamed, so a
    failure while writing leaves a preset that was there as it was.

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
            float16 cannot hold, and weights that are not float32 or float16
            themselves.
    """
    check_choice("dtype", dtype, DTYPES)
    folder = Path(folder)
    _check_free(folder)
    _check_dtypes(model)
    weights = _averaged_weights(model)
    config = preset_config(model)
    # Keras empties the configuration of a functional model it reads.
    twin = keras.saving.deserialize_keras_object(copy.deepcopy(config))
    folder.mkdir(parents=True, exist_ok=True)
    new = {name: folder / f".new.{name}" for name in FILES}
    facts = {
        **json.loads(json.dumps(dict(metadata or {}))),
        "keras_wmgm_version": __version__,
        "keras_version": keras.__version__,
        "class": type(model).__name__,
        "parameters": count_parameters(twin),
    }
    try:
        facts["weights"] = _places(twin, new[WEIGHTS])
        for role, network in twin.networks.items():
            network.set_weights(weights[role])
        twin.pyramid.set_weights(model.pyramid.get_weights())
        _save_weights(twin, new[WEIGHTS], dtype)
        facts["sha256"] = {WEIGHTS: sha256(new[WEIGHTS])}
        new[METADATA].write_text(json.dumps(facts, indent=1) + "\n")
        new[CONFIG].write_text(json.dumps(config, indent=1) + "\n")
        # A folder with metadata is a preset, and may be written anew.
        for name in (METADATA, WEIGHTS, CONFIG):
            os.replace(new[name], folder / name)
    finally:
        for path in new.values():
            path.unlink(missing_ok=True)


def preset_config(model: keras.Model) -> dict:
    """Return the configuration of what draws, with critics described only."""
    config = keras.saving.serialize_keras_object(model)
    config = json.loads(json.dumps(config))
    config.pop("compile_config", None)
    return _set_everywhere(config, "build_critic", False)


def _set_everywhere(config, key, value):
    """Set a key wherever a nested configuration has it."""
    if isinstance(config, dict):
        return {
            k: value if k == key else _set_everywhere(v, key, value)
            for k, v in config.items()
        }
    if isinstance(config, list):
        return [_set_everywhere(item, key, value) for item in config]
    return config


def _averaged_weights(model):
    """Return averaged weights by role, and leave `model` as it was."""
    averaged = model.averaged
    model.use_average(True)
    # Copies: on torch NumPy sees what is assigned later.
    weights = {
        role: [np.array(value) for value in network.get_weights()]
        for role, network in model.networks.items()
    }
    model.use_average(averaged)
    for role, values in weights.items():
        if not all(np.isfinite(value).all() for value in values):
            raise ValueError(
                "A preset's weights must be finite: training has failed, go "
                f"back to a run that was saved before. Received: {role!r}"
            )
    return weights


def _check_free(folder):
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(
            f"A preset is a folder, and there is a file of that name. "
            f"Received: {folder}"
        )
    # What a killed process left is no reason to refuse.
    left = {f".new.{name}" for name in FILES}
    others = folder.is_dir() and {p.name for p in folder.iterdir()} - left
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


def _save_weights(model, path, dtype):
    content = _weights_file(model, path.with_suffix(".keras"))
    path.write_bytes(_halve(content) if dtype == "float16" else content)


def _places(model, path):
    """Return where each weight stands in the file that Keras writes.

    A reader who knows it need not look for them, which takes Keras longer
    than all the rest. Each weight is given its number, and the file tells.
    """
    for number, weight in enumerate(model.weights):
        weight.assign(np.full(weight.shape, number, "float32"))
    content = _weights_file(model, path.with_suffix(".keras"))
    found = {}
    with h5py.File(io.BytesIO(content)) as file:

        def note(name, item):
            if isinstance(item, h5py.Dataset):
                found[int(item[(0,) * item.ndim])] = name

        file.visititems(note)
    return [found[number] for number in sorted(found)]


def _weights_file(model, archive):
    """Return the content of Keras's weights file.

    HDF5 can crash the process where a disk is full, so the file is made in
    memory: Keras does that for what it puts into an archive.
    """
    try:
        model.save(archive)
        with zipfile.ZipFile(archive) as file:
            return file.read(WEIGHTS)
    finally:
        archive.unlink(missing_ok=True)


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
