"""Presets shared between processes, and between backends."""

import os
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_wmgm
from keras_wmgm import factors
from keras_wmgm import networks
from tests.hub.server import ROOT
from tests.hub.server import TOKEN
from tests.models import tiny

LOAD = """
import sys, time, pathlib, os, importlib
import keras
importlib.import_module(keras.backend.backend())
handle, cache, signal, output = sys.argv[1:]
pathlib.Path(output).with_suffix(".ready").touch()
while signal and not os.path.exists(signal):
    time.sleep(0.01)
started = time.process_time()  # not stretched by what else runs here
import keras_wmgm
model = keras_wmgm.from_preset(handle, cache_dir=cache)
seconds = time.process_time() - started
import numpy as np
images = model.generate(4, num_steps=2, seed=5, verbose=0)
weights = np.concatenate([
    w.ravel() for n in model.networks.values() for w in n.get_weights()])
np.savez(output, images=images, weights=weights, seconds=seconds)
"""


def start(handle, cache, output, signal="", backend=tiny.BACKEND, **env):
    arguments = map(str, (handle, cache, signal, output))
    settings = {"KERAS_BACKEND": backend, "PYTHONPATH": str(ROOT), **env}
    return subprocess.Popen(
        [sys.executable, "-c", LOAD, *arguments],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **settings},
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors


def wait_for(condition):
    for _ in range(6000):
        if condition():
            return
        time.sleep(0.02)
    raise TimeoutError("what was waited for has not happened")


def blobs(cache):
    """Return the files in the blobs of a cache."""
    return [p.name for p in cache.glob("models--*/blobs/*")]


@pytest.mark.slow
def test_a_preset_made_on_one_backend_draws_the_same_on_the_others(
    hub, cache, tmp_path
):
    keras.utils.set_random_seed(6)
    model = tiny.mixed()
    tiny.compiled(model, run_eagerly=tiny.BACKEND != "jax")
    model.fit(tiny.IMAGES, batch_size=4, verbose=0)
    handle = model.upload_to_hub("me/tiny", token=TOKEN)
    model.use_average(True)
    expected = model.generate(4, num_steps=2, seed=5, verbose=0)
    weights = np.concatenate(
        [
            w.ravel()
            for role, n in keras_wmgm.from_preset(
                handle, cache_dir=cache
            ).networks.items()
            for w in n.get_weights()
        ]
    )
    for backend in ("tensorflow", "jax", "torch"):
        output = tmp_path / f"{backend}.npz"
        finish(start(handle, cache, output, backend=backend))
        found = np.load(output)
        np.testing.assert_array_equal(found["weights"], weights)
        error = np.abs(found["images"].astype(int) - expected.astype(int))
        assert error.max() <= 2, backend


@pytest.mark.slow
def test_twenty_processes_at_once_share_one_copy(hub, preset, cache, tmp_path):
    handle = f"hf://me/tiny@{hub.add('me/tiny', preset)}"
    signal = tmp_path / "now"
    outputs = [tmp_path / f"{number}.npz" for number in range(20)]
    processes = [start(handle, cache, o, signal) for o in outputs]
    wait_for(lambda: len(list(tmp_path.glob("*.ready"))) == 20)
    signal.touch()
    for process in processes:
        finish(process)
    images = [np.load(output)["images"] for output in outputs]
    assert all((image == images[0]).all() for image in images)
    assert images[0].std() > 1
    assert len(blobs(cache)) == 3
    # Who waited for the lock took the copy that was there.
    assert len([1 for path, _ in hub.sent if "/lfs/" in path]) == 1


@pytest.mark.slow
def test_a_killed_download_is_taken_up_again(hub, preset, cache, tmp_path):
    handle = f"hf://me/tiny@{hub.add('me/tiny', preset)}"
    output = tmp_path / "out.npz"
    hub.pause = 5.0
    process = start(handle, cache, output)
    wait_for(lambda: any("/lfs/" in path for path, _ in hub.sent))
    process.kill()
    process.communicate()
    hub.pause, hub.sent = 0.0, []
    finish(start(handle, cache, output))
    assert np.load(output)["images"].shape == (4, 8, 8, 1)
    # What was whole before is not fetched again.
    assert ["/lfs/" in path for path, _ in hub.sent] == [True]


@pytest.mark.slow
def test_a_cached_preset_of_8_mib_loads_at_once_and_asks_nothing(
    hub, cache, tmp_path
):
    network = networks.ScoreUNet(3, filters=(52, 76), attention_levels=(1,))
    coarse = factors.DiffusionFactor(network)
    model = keras_wmgm.WMGM((64, 64, 3), num_levels=3, coarse=coarse)
    model.adapt(np.zeros((2, 64, 64, 3), "uint8"))
    handle = model.upload_to_hub("me/wmgm", token=TOKEN, samples=0)
    files = hub.commits("me/wmgm")[-1]["files"]
    assert sum(file["size"] for file in files.values()) > 8 * 2**20
    keras_wmgm.from_preset(handle, cache_dir=cache)
    asked = len(hub.requests)
    output = tmp_path / "out.npz"
    finish(start(handle, cache, output))
    assert len(hub.requests) == asked
    assert np.load(output)["seconds"] < 2


@pytest.mark.slow
def test_the_shipped_preset_loads_at_once_and_asks_nothing(
    hub, cache, tmp_path
):
    output = tmp_path / "out.npz"
    finish(start(keras_wmgm.DEFAULT_PRESET, cache, output))
    assert not hub.requests
    assert np.load(output)["seconds"] < 2


@pytest.mark.slow
def test_offline_is_what_the_environment_says(preset, hub, cache, tmp_path):
    hub.add("me/tiny", preset)
    output = tmp_path / "out.npz"
    process = start("hf://me/tiny", cache, output, HF_HUB_OFFLINE="1")
    _, errors = process.communicate(timeout=300)
    assert "HF_HUB_OFFLINE is set: unset it once" in errors
    assert not hub.requests
    keras_wmgm.from_preset("hf://me/tiny", cache_dir=cache)
    asked = len(hub.requests)
    finish(start("hf://me/tiny", cache, output, HF_HUB_OFFLINE="1"))
    assert len(hub.requests) == asked


@pytest.mark.slow
def test_the_token_of_the_environment_is_used(preset, hub, cache, tmp_path):
    hub.add("me/tiny", preset, private=True)
    output = tmp_path / "out.npz"
    finish(start("hf://me/tiny", cache, output, HF_TOKEN=TOKEN))
    assert Path(output).exists()
