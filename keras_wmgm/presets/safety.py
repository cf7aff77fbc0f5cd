"""A stranger's configuration is data, and is read as nothing else.

`config.json` names the classes Keras is to make and what to make them with.
Here the raw JSON is checked before Keras sees it: only classes of this
package, a short list of Keras's own and those the caller hands in; no
functions, no paths, and no number that would take a machine's memory.
"""

import json
import math
from collections.abc import Collection
from pathlib import Path
from typing import Any

import keras

MAX_BYTES = 4 * 2**20
MAX_DEPTH = 64
MAX_ITEMS = 200_000
MAX_NUMBER = 2**16
MAX_COST = 5e8
"""About the most parameters that a configuration may ask for."""

LAYERS = (
    "Activation Add Average AveragePooling2D BatchNormalization Concatenate "
    "Conv2D Conv2DTranspose Cropping2D Dense DepthwiseConv2D Dropout ELU "
    "Embedding Flatten GaussianNoise GlobalAveragePooling2D "
    "GlobalMaxPooling2D GroupNormalization Identity InputLayer "
    "LayerNormalization LeakyReLU Maximum MaxPooling2D Minimum Multiply PReLU "
    "Permute RMSNormalization ReLU Rescaling Reshape SeparableConv2D Softmax "
    "SpatialDropout2D Subtract UpSampling2D ZeroPadding2D"
)
INITIALIZERS = (
    "Constant GlorotNormal GlorotUniform HeNormal HeUniform LecunNormal "
    "LecunUniform Ones Orthogonal RandomNormal RandomUniform TruncatedNormal "
    "VarianceScaling Zeros"
)
ALLOWED = {
    "keras": {"DTypePolicy"},
    "keras.layers": set(LAYERS.split()),
    "keras.initializers": set(INITIALIZERS.split()),
    "keras.regularizers": {"L1", "L2", "L1L2"},
    "keras.random": {"SeedGenerator"},
    "keras.src.models.functional": {"Functional"},
    "keras.src.models.sequential": {"Sequential"},
}
"""Keras's classes that hold no code and open no file, by module."""

WIDTHS = (
    "filters units head_filters channels out_channels condition_channels "
    "noise_channels"
).split()
"""Keys of numbers whose squares count parameters."""

LIMITS = {
    **dict.fromkeys(WIDTHS, 4096),
    "image_shape": 4096,
    "batch_shape": 4096,
    "output_dim": 4096,
    "num_scales": 64,
    "num_blocks": 32,
    "num_levels": 12,
    "kernel_size": 64,
    "seed": 2**63,
}
"""The largest whole number under a key, where not `MAX_NUMBER`."""

NAMES_A_CLASS = ("class_name", "registered_name", "module", "spec_name")
TENSOR = "__keras_tensor__"


def read_json(path: Path) -> dict:
    """Return the object in a JSON file of sane size and depth.

    Raises:
        FileNotFoundError: If there is no file.
        ValueError: If it is no such file.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"A preset folder has a {path.name}, and there is none. "
            f"Received: {path.parent}"
        )
    check_size(path, path.stat().st_size)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{path.name} is not readable as JSON ({error}); get the preset "
            f"anew. Received: {path}"
        ) from None
    if not isinstance(content, dict):
        raise ValueError(f"{path.name} must hold an object. Received: {path}")
    return content


def check_size(path: str | Path, size: int) -> None:
    """Refuse a file of JSON that is too large for a preset."""
    if size > MAX_BYTES:
        raise ValueError(
            f"{Path(path).name} of a preset has at most {MAX_BYTES} bytes. "
            f"Received: {size} in {path}"
        )


def check_config(config: dict, custom: Collection[str] = ()) -> None:
    """Refuse a configuration that could do more than describe a model.

    Args:
        config: The raw content of `config.json`.
        custom: The names of classes that the caller allows.

    Raises:
        ValueError: For anything that is not on the list.
    """
    walk = _Walk(custom)
    walk.visit(config, "", 0)
    if walk.cost > MAX_COST:
        raise ValueError(
            "The configuration asks for networks of far more parameters than "
            f"a preset may have, {MAX_COST:.0e}. Received: about "
            f"{walk.cost:.0e}"
        )


class _Walk:
    """One pass over a configuration."""

    def __init__(self, custom):
        self.custom = set(custom)
        self.items = 0
        self.cost = 0.0

    def visit(self, node: Any, key: str, depth: int) -> None:
        self.items += 1
        if depth > MAX_DEPTH or self.items > MAX_ITEMS:
            raise ValueError(
                f"A configuration is at most {MAX_DEPTH} levels deep and has "
                f"at most {MAX_ITEMS} entries. Received: more, at {key!r}"
            )
        if isinstance(node, dict):
            self._visit_dict(node, depth)
        elif isinstance(node, list):
            for item in node:
                self.visit(item, key, depth + 1)
        elif isinstance(node, str):
            _check_string(node, key)
        elif isinstance(node, (int, float)):
            _check_number(node, key)

    def _visit_dict(self, node, depth):
        if any(name in node for name in NAMES_A_CLASS):
            self._check_class(node)
        self.cost += _cost(node)
        for key, value in node.items():
            _check_string(key, "a key")
            self.visit(value, key, depth + 1)

    def _check_class(self, node):
        names = [node.get(n) for n in ("module", "class_name")]
        registered = node.get("registered_name")
        if node.get("compile_config"):
            raise _refused("`compile_config`", "nothing but `{}`", node)
        if not isinstance(node.get("config"), dict):
            raise _refused("`config`", "an object", node)
        if not (
            (names == [None, TENSOR] and registered is None)
            or _is_keras(*names, registered)
            or _is_registered(*names, registered)
            or _is_custom(names[1], registered, self.custom)
        ):
            raise ValueError(
                "A preset may name classes of keras_wmgm, and those of "
                "keras.layers and keras.initializers that hold no code. If "
                "you know this one and trust it, hand it in: `from_preset("
                "..., custom_objects={'package>Name': Class})`. Received: "
                f"module={names[0]!r}, class_name={names[1]!r}, "
                f"registered_name={registered!r}"
            )


def _is_keras(module, class_name, registered):
    if not (isinstance(module, str) and isinstance(class_name, str)):
        return False
    named = registered is None or registered == class_name
    return named and class_name in ALLOWED.get(module, ())


def _is_registered(module, class_name, registered):
    """Whether this is a class of this package, by all of its names."""
    if not str(registered).startswith("keras_wmgm>"):
        return False
    cls = keras.saving.get_registered_object(registered)
    known = cls and (cls.__module__, cls.__name__)
    return known == (module, class_name)


def _is_custom(class_name, registered, custom):
    if not isinstance(registered, str) or registered not in custom:
        return False
    return registered.rpartition(">")[2] == class_name


def _refused(what, expected, node):
    return ValueError(
        f"{what} of a class in a preset must be {expected}. Received: "
        f"{node.get('class_name')!r} with keys {sorted(node)}"
    )


def _check_string(text, key):
    if len(text) > 1000 or any(part in text for part in ("/", "\\", "..")):
        raise ValueError(
            "A configuration holds names, not paths, of at most 1000 "
            f"characters. Received: {text[:80]!r} as {key!r}"
        )


def _check_number(value, key):
    limit = LIMITS.get(key, MAX_NUMBER)
    if isinstance(value, float):
        limit = 1e9
    if not abs(value) <= limit:  # so that NaN is refused too
        raise ValueError(
            "A number in a preset's configuration is not sane: "
            f"`{key}` goes up to {limit}. Received: {str(value)[:20]}"
        )


def _cost(node):
    """Return the order of magnitude of an object's parameters."""
    widths = [w for k in WIDTHS for w in _counts(node.get(k))]
    vocabulary = max(_counts(node.get("input_dim")), default=0)
    kernel = math.prod(_counts(node.get("kernel_size")) or [3, 3])
    blocks = max(_counts(node.get("num_blocks")), default=1)
    cost = kernel * blocks * sum(width**2 for width in widths)
    return cost + vocabulary * sum(_counts(node.get("output_dim")))


def _counts(value):
    values = value if isinstance(value, list) else [value]
    return [v for v in values if isinstance(v, int) and 0 < v <= MAX_NUMBER]
