"""Settings of every test run. The backend is the process: KERAS_BACKEND."""

import os
import signal
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("OMP_NUM_THREADS", "1")
# On JAX most of the time is XLA's: it compiles every operation for every shape.
# So it is to take few pains, and to keep the outcome for the next run.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
os.environ.setdefault(
    "JAX_COMPILATION_CACHE_DIR",
    str(Path(__file__).parent.parent / ".pytest_cache" / "jax"),
)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

if os.environ.get("KERAS_BACKEND") == "torch":
    # TensorFlow, loaded first, can crash PyTorch's own loading.
    import torch  # noqa: F401

import keras
import pytest

from tests.hub import address  # noqa: F401

pytest_plugins = ["tests.hub.fixtures"]


def pytest_addoption(parser):
    parser.addoption(
        "--slow", action="store_true", help="run the slow tests too"
    )


ONCE = {
    "benchmarks",
    "callbacks",
    "cli",
    "data",
    "examples",
    "hub",
    "presets",
    "recipes",
    "utils",
    "zoo",
}
"""The folders whose tests run on one backend: what they test calls Keras
through parts that are tested on each. Tests marked `each` are exceptions."""


@pytest.hookimpl(tryfirst=True)  # before pytest selects by markers
def pytest_collection_modifyitems(config, items):
    for item in items:
        if item.path.parent.name in ONCE and "each" not in item.keywords:
            item.add_marker("once")
    if config.getoption("--slow"):
        return
    skip = pytest.mark.skip(reason="slow; run with --slow")
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(skip)


TRACED = {
    "diffusion",
    "factors",
    "golden",
    "layers",
    "metrics",
    "models",
    "networks",
    "optimizers",
}
"""The folders whose tests run as TensorFlow's graphs."""


@pytest.fixture(autouse=True, scope="module")
def _traced(request):
    """Trace graphs only where they matter: it takes longer than all else."""
    if keras.backend.backend() != "tensorflow":
        yield
        return
    import tensorflow as tf

    tf.config.run_functions_eagerly(request.path.parent.name not in TRACED)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture(autouse=True)
def _seed():
    keras.utils.set_random_seed(0)


@pytest.fixture
def clock(monkeypatch):
    """Time, as a list of one number that a test may change."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def channels_first():
    """Make channels_first the global data format for one test."""
    before = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_first")
    yield
    keras.config.set_image_data_format(before)


@pytest.fixture
def mixed_bfloat16():
    """Make mixed_bfloat16 the global dtype policy for one test."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_dtype_policy(before)


@pytest.fixture
def ctrl_c():
    """SIGINT interrupts; a job in the background is started to ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
