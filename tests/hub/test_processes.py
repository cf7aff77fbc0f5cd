"""Presets shared between processes, and between backends."""

import os
import subprocess
import sys
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
import collections, functools, importlib, sys
import h5py
import keras
importlib.import_module(keras.backend.backend())
handle, cache, output = sys.argv[1:]
print("ready", flush=True)
sys.stdin.readline()
import keras_wmgm
from keras_wmgm.presets import hub
hub.TIMEOUT = 600.0  # a busy machine answers late
done = collections.Counter()

def count(place, name, what):
    function = getattr(place, name)

    @functools.wraps(function)
    def counted(*args, **kwargs):
        done[what] += 1
        return function(*args, **kwargs)

    setattr(place, name, counted)

count(h5py.h5f, "open", "opened")
count(keras.Model, "load_weights", "searched")
count(keras_wmgm.MultiscaleModel, "__init__", "made")
model = keras_wmgm.from_preset(handle, cache_dir=cache)
work = [done[what] for what in ("opened", "searched", "made")]
import numpy as np
images = model.generate(4, num_steps=2, seed=5, verbose=0)
weights = np.concatenate([
    w.ravel() for n in model.networks.values() for w in n.get_weights()])
np.savez(output, images=images, weights=weights, work=work)
"""


def start(handle, cache, output, waits=False, backend=tiny.BACKEND, **env):
    """Start a process. If it `waits`, it loads once it is sent a line."""
    arguments = map(str, (handle, cache, output))
    settings = {"KERAS_BACKEND": backend, "PYTHONPATH": str(ROOT), **env}
    return subprocess.Popen(
        [sys.executable, "-c", LOAD, *arguments],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **settings},
        stdin=subprocess.PIPE if waits else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors


def assert_at_once(found):
    """Each step of loading was done once, and once more to check it."""
    opened, searched, made = found["work"]
    assert 1 <= opened <= 2 and 1 <= made <= 2
    assert not searched  # Keras would look for the place of each weight


def blobs(cache):
    """Return the files in the blobs of a cache."""
    return [p.name for p in cache.glob("models--*/blobs/*")]


@pytest.mark.slow
def test_a_preset_made_on_one_backend_draws_the_same_on_the_others(
    hub, cache, tmp_path
):
    keras.utils.set_random_seed(6)
    model = tiny.mixed()
    tiny.compiled(model, **tiny.EAGERLY)
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
    outputs = [tmp_path / f"{number}.npz" for number in range(20)]
    processes = [start(handle, cache, o, waits=True) for o in outputs]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
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
    hub.holds = True
    process = start(handle, cache, output)
    assert hub.holding.wait(600)
    process.kill()
    process.communicate()
    hub.holds, hub.sent = False, []
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
    assert_at_once(np.load(output))


@pytest.mark.slow
def test_the_shipped_preset_loads_at_once_and_asks_nothing(
    hub, cache, tmp_path
):
    output = tmp_path / "out.npz"
    finish(start(keras_wmgm.DEFAULT_PRESET, cache, output))
    assert not hub.requests
    assert_at_once(np.load(output))


@pytest.mark.slow
def test_offline_is_what_the_environment_says(preset, hub, cache, tmp_path):
    hub.add("me/tiny", preset)
    output = tmp_path / "out.npz"
    process = start("hf://me/tiny", cache, output, HF_HUB_OFFLINE="1")
    _, errors = process.communicate(timeout=600)
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
