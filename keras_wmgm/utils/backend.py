"""The choice of an installed backend, before Keras is imported."""

import json
import os
import sys
from importlib.util import find_spec
from pathlib import Path

BACKENDS = ("tensorflow", "jax", "torch")


def choose_backend() -> None:
    """Let Keras use an installed backend if its default is not installed.

    Without a configuration Keras uses TensorFlow and fails if only another
    backend is installed. `KERAS_BACKEND`, and a configured backend that is
    installed, are left alone.
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
