"""Before Keras is imported: a backend that is there."""

import json
import os
import sys
from importlib.util import find_spec
from pathlib import Path

BACKENDS = ("tensorflow", "jax", "torch")


def choose_backend() -> None:
    """Let Keras use a backend that is installed, if its choice is not.

    Keras takes TensorFlow where nothing was chosen, also where only another
    backend is installed, and fails. A choice that works is left alone, and so
    is one made by `KERAS_BACKEND`.
    """
    if "keras" in sys.modules or os.environ.get("KERAS_BACKEND"):
        return
    if _installed(_configured()):
        return
    found = [backend for backend in BACKENDS if _installed(backend)]
    if not found:
        raise ImportError(
            "keras_wmgm needs a backend: pip install 'keras-wmgm[tensorflow]' "
            "(or [jax], or [torch]). Received: none is installed"
        )
    os.environ["KERAS_BACKEND"] = found[0]


def _installed(backend):
    return find_spec(backend) is not None


def _configured():
    """Return the backend that Keras's own file names, or its default."""
    home = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras"))
    try:
        return json.loads((home / "keras.json").read_text())["backend"]
    except (OSError, ValueError, KeyError, TypeError):
        return "tensorflow"
