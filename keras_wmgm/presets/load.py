"""From a handle to a model.

Nothing is built before everything is checked: the place, the checksums, the
raw configuration, the version, the class, and the structure of the weights.
"""

import os
import re
import warnings
from pathlib import Path

import keras

from keras_wmgm.presets.build import build
from keras_wmgm.presets.build import fill
from keras_wmgm.presets.folder import METADATA
from keras_wmgm.presets.h5_safety import check_weights_file
from keras_wmgm.presets.handles import HubHandle
from keras_wmgm.presets.handles import parse_handle
from keras_wmgm.presets.registry import CONFIG
from keras_wmgm.presets.registry import REGISTRY
from keras_wmgm.presets.registry import WEIGHTS
from keras_wmgm.presets.registry import Preset
from keras_wmgm.presets.safety import check_config
from keras_wmgm.presets.safety import read_json
from keras_wmgm.presets.source import Source
from keras_wmgm.utils.checks import check_counts
from keras_wmgm.utils.writing import as_path
from keras_wmgm.version import __version__


def from_preset(
    handle: str | os.PathLike,
    load_weights: bool = True,
    cache_dir: str | os.PathLike | None = None,
    token: str | None = None,
    local_files_only: bool = False,
    custom_objects: dict[str, type] | None = None,
) -> keras.Model:
    """Make the model of a preset.

    A stranger's preset is safe to load: its configuration may name classes
    of this package and plain ones of Keras only, and its weights are numbers.

    Args:
        handle: A registered name (see `keras_wmgm.presets.REGISTRY`), a
            repository on the Hugging Face Hub as `hf://org/name` or
            `hf://org/name@revision`, or the path of a preset folder.
        load_weights: Whether to load the preset's weights. Without, the model
            is as it is before training; for a registered name that needs no
            network.
        cache_dir: Where downloads are kept; by default in the Hub's cache
            (`HF_HOME`).
        token: A token for private repositories; by default `HF_TOKEN`, or
            that of `hf auth login`.
        local_files_only: Take what is cached and ask nothing over the
            network.
        custom_objects: Classes of your own that the preset may name, by
            the names they are registered under.

    Returns:
        A model of the class the preset names.

    Raises:
        ValueError: For a preset without weights where they are asked for, and
            for damaged, foreign, newer or unsafe files.
        OSError: For an unknown name, and for what cannot be had: a folder, a
            repository, a revision, a file, access or a network.
        TypeError: For a handle that is neither a name nor a path.

    Example:

    >>> model = keras_wmgm.from_preset("paper_wmgm_128", load_weights=False)
    >>> model.networks["detail"].count_params() > 36_000_000
    True
    """
    return load_as(
        keras.Model,
        handle,
        load_weights,
        custom_objects,
        cache_dir=cache_dir,
        token=token,
        local_files_only=local_files_only,
    )


def load_as(
    cls: type,
    handle: str | os.PathLike,
    load_weights: bool = True,
    custom_objects: dict[str, type] | None = None,
    cache_dir: str | os.PathLike | None = None,
    token: str | None = None,
    local_files_only: bool = False,
) -> keras.Model:
    """Make the model of a preset, if it is of the class `cls`.

    The other arguments are those of `from_preset`.

    Raises:
        ValueError: If it is of another class, before weights are fetched.
    """
    options = {
        "cache_dir": None if cache_dir is None else str(as_path(cache_dir)),
        "token": token,
        "local_files_only": local_files_only,
    }
    custom_objects = custom_objects or {}
    source = _source(handle, parse_handle(handle), load_weights, options)
    weights = [WEIGHTS] if load_weights else []
    cached = source.cached([*_described_in(source.place), *weights])
    try:
        return _load(cls, handle, source, load_weights, custom_objects)
    except OSError as error:
        refused = isinstance(error, (FileNotFoundError, PermissionError))
        if cached is None or (refused and not error.errno):
            raise
        warnings.warn(
            f"{source.place} has a newer commit that cannot be downloaded "
            f"({error}); what is cached already is used.",
            stacklevel=2,
        )
        return _load(cls, handle, cached, load_weights, custom_objects)


def _load(cls, handle, branch, load_weights, custom_objects):
    """Make the model of a source."""
    folder = branch.find(_described_in(branch.place))
    source = branch.pinned(folder)
    config = _read_config(folder, custom_objects)
    facts = _read_facts(folder, required=load_weights)
    _check_class(config, cls, handle, custom_objects)
    weights = _find_weights(source, facts) if load_weights else None
    if load_weights or branch.cached() is None:
        branch.settle(source, [CONFIG, METADATA])
    model = build(config, custom_objects, folder)
    if weights:
        fill(model, *weights)
    return model


def image_shape_of(handle: str | os.PathLike) -> tuple[int, int, int]:
    """Return the shape of a preset's images; its weights are not read.

    Args:
        handle: As of `from_preset`.

    Raises:
        ValueError: As `from_preset`.
        OSError: As `from_preset`.
    """
    source = _source(handle, parse_handle(handle), True, {})
    folder = source.find([CONFIG])
    shape = _read_config(folder, {})["config"].get("image_shape")
    return check_counts("image_shape", shape, min_length=3)


def _source(handle, place, load_weights, options) -> Source:
    if isinstance(place, Path):
        return Source(place)
    if isinstance(place, HubHandle):
        return Source(place, options=options)
    if load_weights and not place.has_weights:
        raise ValueError(_no_weights(str(handle), place))
    if load_weights and place.repo:
        there = HubHandle(place.repo, place.revision)
        return Source(there, place.sha256, options)
    return Source(place.folder, {} if place.repo else place.sha256)


def _no_weights(name, preset: Preset) -> str:
    """Return what to do without the weights of a registered name."""
    ready = [repr(n) for n, p in REGISTRY.items() if p.has_weights]
    train = preset.recipe and (
        "train it, in a clone of the project, with `keras-wmgm train --recipe "
        f"{preset.recipe} --data ZIP --output RUN`; "
    )
    return (
        "There are no weights for this preset, nobody has published any: "
        f"{train or ''}take a preset that has weights "
        f"({', '.join(ready) or 'none so far'}); or make the model without, "
        f"`load_weights=False`. Received: {name!r}"
    )


def _described_in(place) -> list[str]:
    """Return the files to read first; what is never loaded may lack facts."""
    lacks = isinstance(place, Path) and not (place / METADATA).exists()
    return [CONFIG] if lacks else [CONFIG, METADATA]


def _read_config(folder, custom_objects) -> dict:
    config = read_json(folder / CONFIG)
    name = str(config.get("registered_name", ""))
    if not name.startswith("keras_wmgm>") and name not in custom_objects:
        raise ValueError(
            "The folder holds a model of another library: `registered_name` "
            f"must begin with 'keras_wmgm>'. Received: {name!r} in {folder}"
        )
    _rename_class(config, name, folder)
    check_config(config, custom_objects)
    return config


def _rename_class(config, name, folder):
    """Give a class that is registered under an old name too its name of now."""
    found = keras.saving.get_registered_object(name)
    now = found and keras.saving.get_registered_name(found)
    if now in (None, name):
        return
    old = name.partition(">")[2]
    warnings.warn(
        f"The preset was made when its class was called `{old}`; it is opened "
        f"as a `{found.__name__}`. Received: {folder}",
        stacklevel=2,
    )
    config["module"] = found.__module__
    config["class_name"] = found.__name__
    config["registered_name"] = now


def _read_facts(folder, required) -> dict:
    if not required and not (folder / METADATA).exists():
        return {}
    facts = read_json(folder / METADATA)
    _check_version(facts, folder)
    return facts


def _check_version(facts, folder):
    """Refuse what a later version, or another library, has written."""
    made_by = facts.get("keras_wmgm_version")
    if _release(made_by) is None:
        raise ValueError(
            f"{METADATA} does not say which version of keras_wmgm has made "
            "the preset: it is of another library, or damaged. "
            f"Received: keras_wmgm_version={made_by!r} in {folder}"
        )
    if _release(made_by) > _release(__version__):
        raise ValueError(
            f"The preset was made by a newer keras_wmgm, {made_by}; this is "
            f"{__version__}. `pip install --upgrade keras-wmgm`. "
            f"Received: {folder}"
        )


def _release(version) -> tuple[int, int] | None:
    """Return major and minor version; patches keep the format."""
    found = re.match(r"(\d{1,6})\.(\d{1,6})", str(version))
    return found and (int(found[1]), int(found[2]))


def _check_class(config, cls, handle, custom_objects):
    found = keras.saving.get_registered_object(
        config["registered_name"], custom_objects
    )
    if not (isinstance(found, type) and issubclass(found, cls)):
        kind = config["class_name"]
        raise ValueError(
            f"The preset is a `{kind}`: load it with "
            f"`keras_wmgm.from_preset` or `{kind}.from_preset`, not with "
            f"`{cls.__name__}.from_preset`. Received: {str(handle)!r}"
        )


def _find_weights(source, facts) -> tuple[Path, int, list[str] | None]:
    """Return the weights, checked, how many numbers, and where each stands."""
    try:
        path = source.find([WEIGHTS]) / WEIGHTS
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"The preset has no {WEIGHTS}; `load_weights=False` makes the "
            f"model without. {error}"
        ) from None
    sums = facts.get("sha256")
    expected = sums.get(WEIGHTS) if isinstance(sums, dict) else None
    if expected and WEIGHTS not in source.sums:
        source.check_sum(path, expected)
    count, names = check_weights_file(path)
    return path, count, _places(facts, names, path)


def _places(facts, names, path) -> list[str] | None:
    """Return where each weight stands, if what is said is of this version.

    It is an order, and another version's models might have another; Keras
    then looks for the weights itself.
    """
    places = facts.get("weights")
    if places is None:
        return None
    strings = isinstance(places, list) and all(
        isinstance(place, str) for place in places
    )
    if not strings or sorted(places) != sorted(names):
        raise ValueError(
            f"`weights` in {METADATA} must name every array of the file once; "
            f"get the preset anew. Received: other names, for {path}"
        )
    made_by = (facts.get("keras_wmgm_version"), facts.get("keras_version"))
    ours = (__version__, keras.__version__)
    same = list(map(_release, made_by)) == list(map(_release, ours))
    return places if same else None
