"""Every way in which a preset cannot be had, and what is said of it."""

import json
import shutil
from functools import partial

import h5py
import numpy as np
import pytest
from huggingface_hub import HfApi
from huggingface_hub import constants

import keras_wmgm
from keras_wmgm import WMGM
from keras_wmgm.presets import load
from keras_wmgm.presets.registry import REGISTRY
from keras_wmgm.presets.registry import Preset
from tests.hub.fixtures import TIMEOUT
from tests.hub.server import TOKEN

HUB = "hf://me/tiny"
SHA = "0" * 40


class World:
    """A hub with one good preset, and what a row needs to spoil it."""

    def __init__(self, hub, preset, tmp_path, monkeypatch, silence):
        self.hub, self.monkeypatch, self.silence = hub, monkeypatch, silence
        self.preset = shutil.copytree(preset, tmp_path / "spoiled")

    def serve(self, **kwargs):
        self.hub.add("me/tiny", self.preset, **kwargs)

    def edit(self, name, **changes):
        path = self.preset / name
        content = json.loads(path.read_text())
        path.write_text(json.dumps({**content, **changes}))
        self.serve()

    def rewrite(self, content, name="model.weights.h5"):
        (self.preset / name).write_bytes(content)
        self.edit("metadata.json", sha256={})

    def another_shape(self, lost=False):
        with h5py.File(self.preset / "model.weights.h5", "r+") as file:
            arrays = []
            file.visit(arrays.append)
            path = next(n for n in arrays if n.endswith("vars/0"))
            size = file[path].size
            del file[path]
            if not lost:
                file[path] = np.zeros(size, "float32")
        self.edit("metadata.json", sha256={}, weights=None)

    def register(self, weights="f" * 64):
        commit = self.hub.add("me/tiny", self.preset)
        preset = Preset(
            "MultiscaleModel",
            "A test's",
            self.preset,
            image_size=8,
            parameters=0,
            repo="me/tiny",
            revision=commit,
            sha256={"model.weights.h5": weights},
        )
        self.monkeypatch.setitem(REGISTRY, "tiny_8", preset)

    def set_offline(self):
        self.monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)

    def fault(self, fault, path="/"):
        self.serve()
        self.hub.faults = {path: fault}


def none(world):
    """Spoil nothing."""


ERRORS = {
    "unknown name": (
        none,
        "celebahq_182",
        FileNotFoundError,
        "'afhq_cat_128', .*, or a folder. Did you mean 'celebahq_128'",
    ),
    "no folder": (none, "no/such/folder", FileNotFoundError, "or a folder"),
    "bare org/name": (none, "me/tiny", ValueError, "write 'hf://me/tiny'"),
    "bare org/name@revision": (
        none,
        "me/tiny@main",
        ValueError,
        "write 'hf://me/tiny@main'",
    ),
    "no org": (none, "hf://tiny", ValueError, "written org/name"),
    "path as repository": (none, "hf://../..", ValueError, "org/name"),
    "path as revision": (none, HUB + "@../../x", ValueError, "After the @"),
    "no weights published": (
        none,
        "celebahq_128",
        ValueError,
        "nobody has published any: train it, in a clone of the project, with "
        "`keras-wmgm train --recipe zoo/celebahq_128/recipe.toml --data ZIP "
        "--output RUN`; take a preset that has weights .*`load_weights=False`",
    ),
    "no repository": (none, HUB, FileNotFoundError, "no repository me/tiny"),
    "no revision": (
        World.serve,
        f"{HUB}@v9",
        FileNotFoundError,
        "no such revision",
    ),
    "no commit": (
        World.serve,
        f"{HUB}@{SHA}",
        FileNotFoundError,
        "no such revision",
    ),
    "private": (
        lambda w: w.serve(private=True),
        HUB,
        PermissionError,
        "asks for a token.*hf auth login",
    ),
    "gated": (
        lambda w: w.fault("gated", "/resolve/"),
        HUB,
        PermissionError,
        "is gated: accept its conditions",
    ),
    "not allowed": (
        lambda w: w.fault(403),
        HUB,
        PermissionError,
        "Your token may not",
    ),
    "no config": (
        lambda w: w.serve(leave_out=["config.json"]),
        HUB,
        FileNotFoundError,
        "has no config.json: it is no preset",
    ),
    "no weights file": (
        lambda w: w.serve(leave_out=["model.weights.h5"]),
        HUB,
        FileNotFoundError,
        "no model.weights.h5; `load_weights=False`",
    ),
    "too many requests": (
        lambda w: w.fault(429),
        HUB,
        ConnectionError,
        "too many requests",
    ),
    "out of order": (
        lambda w: w.fault(500),
        HUB,
        ConnectionError,
        "out of order",
    ),
    "no answer": (
        lambda w: w.silence(),
        HUB,
        ConnectionError,
        "not in the cache, and http://127.0.0.1.* cannot be reached.*cache /",
    ),
    "HF_HUB_OFFLINE": (
        World.set_offline,
        HUB,
        ConnectionError,
        "HF_HUB_OFFLINE is set: unset it once.*HF_HOME.*cache /",
    ),
    "other content": (
        World.register,
        "tiny_8",
        ValueError,
        f"sha256 must be {'f' * 64}. It has been removed",
    ),
    "newer": (
        lambda w: w.edit("metadata.json", keras_wmgm_version="99.0.0"),
        HUB,
        ValueError,
        "newer keras_wmgm, 99.0.0.*pip install --upgrade",
    ),
    "no version": (
        lambda w: w.edit("metadata.json", keras_wmgm_version=None),
        HUB,
        ValueError,
        "of another library, or damaged",
    ),
    "another library": (
        lambda w: w.edit("config.json", registered_name="keras_hub>Backbone"),
        HUB,
        ValueError,
        "model of another library",
    ),
    "corrupt h5": (
        lambda w: w.rewrite(b"\x89HDF\r\n\x1a\n" + bytes(100)),
        HUB,
        ValueError,
        "no whole HDF5 file",
    ),
    "wrong class": (
        World.serve,
        lambda **kwargs: WMGM.from_preset(HUB, **kwargs),
        ValueError,
        "is a `MultiscaleModel`: load it with",
    ),
    "not cached, and not to be asked for": (
        World.serve,
        lambda **kwargs: load.from_preset(HUB, local_files_only=True, **kwargs),
        ConnectionError,
        "local_files_only.*leave it out",
    ),
    "wrong shapes": (
        World.another_shape,
        HUB,
        ValueError,
        "weights do not fit the configuration",
    ),
    "other names of weights": (
        lambda w: w.edit("metadata.json", weights=["a", "b"]),
        HUB,
        ValueError,
        "must name every array of the file once",
    ),
    "an array that lacks": (
        lambda w: w.another_shape(lost=True),
        HUB,
        ValueError,
        "do not fit the configuration.*needs 460 numbers",
    ),
    "corrupt JSON": (
        lambda w: w.rewrite(b"{", "config.json"),
        HUB,
        ValueError,
        "not readable as JSON",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_what_cannot_be_had_is_said_with_a_remedy(
    name, hub, preset, cache, tmp_path, monkeypatch, silence, slept
):
    spoil, handle, error, text = ERRORS[name]
    spoil(World(hub, preset, tmp_path, monkeypatch, silence))
    ask = handle if callable(handle) else partial(load.from_preset, handle)
    with pytest.raises(error, match=text) as caught:
        ask(cache_dir=cache)
    assert TIMEOUT + sum(slept) < 5
    assert "Received: " in str(caught.value).splitlines()[-1]
    assert isinstance(caught.value, (ValueError, OSError))


def test_the_hub_is_not_waited_for_longer_than_is_said(
    hub, preset, cache, monkeypatch
):
    hub.add("me/tiny", preset)
    ask, timeouts = HfApi.model_info, []

    def record(*args, timeout=None, **kwargs):
        timeouts.append(timeout)
        return ask(*args, timeout=600.0, **kwargs)

    monkeypatch.setattr(HfApi, "model_info", record)
    monkeypatch.setattr("keras_wmgm.presets.hub.TIMEOUT", TIMEOUT)
    keras_wmgm.from_preset(HUB, cache_dir=cache)
    assert timeouts[0] == TIMEOUT


def test_no_network_at_all_is_found_out_at_once(cache, slept):
    with pytest.raises(ConnectionError, match="refused.*connect once.*cache /"):
        keras_wmgm.from_preset(HUB, cache_dir=cache)
    assert sum(slept) < 2


def test_local_files_only_asks_nothing(hub, preset, cache):
    hub.add("me/tiny", preset)
    with pytest.raises(ConnectionError):
        keras_wmgm.from_preset(HUB, cache_dir=cache, local_files_only=True)
    assert not hub.requests


def test_a_wrong_token_is_told_from_no_token(hub, preset, cache):
    hub.add("me/tiny", preset, private=True)
    hub.faults = {"/api/models": 403}
    with pytest.raises(PermissionError, match="Your token may not"):
        keras_wmgm.from_preset(HUB, cache_dir=cache, token=TOKEN)


def test_another_class_of_a_registered_name_is_refused():
    with pytest.raises(ValueError, match="is a `WMGM`"):

        class Other(WMGM):
            """Narrower than the preset."""

        Other.from_preset("celebahq_128", load_weights=False)


def test_a_version_is_compared_by_major_and_minor():
    assert load._release("0.1.0.dev0") == load._release("0.1.9") == (0, 1)
    assert load._release("0.10.0") > load._release("0.9.9")
    assert load._release("new") is None
