"""The registry: a file that people edit, and each kind of entry in it."""

import json
import re
import shutil
from functools import cache

import pytest

import keras_wmgm
from keras_wmgm import presets
from keras_wmgm.presets import folder as folders
from keras_wmgm.presets import registry
from keras_wmgm.presets.hub import COMMIT
from tests.models import tiny

WITHOUT_WEIGHTS = (
    "afhq_dog_128",
    "celebahq_128",
    "colon_128",
    "paper_wmgm_128",
)
PARTS = {"network", "guide", "generator", "critic"}

HERE = """
[tiny_8]
class = "MultiscaleModel"
description = "Weights beside the configuration."
folder = "tiny_8"
image_size = 8
parameters = 460
steps = 2
fd = 3.5
fd_images = 1000
license = "cc0-1.0"
bytes = 1234

[tiny_8.sha256]
"config.json" = "{config}"
"metadata.json" = "{metadata}"
"model.weights.h5" = "{weights}"
"""

ON_THE_HUB = """
[tiny_8.hub]
repo = "me/tiny"
revision = "{commit}"
"""


@pytest.fixture
def package(tmp_path):
    """A place like the package's, with one preset in it."""
    model = tiny.mixed()
    model.adapt(tiny.IMAGES)
    model.save_to_preset(tmp_path / "package" / "tiny_8")
    return tmp_path / "package"


@pytest.fixture
def register(package, monkeypatch):
    """Return a function that puts the presets of a text into the registry."""

    def register(text, **sums):
        path = package / "registry.toml"
        for name in folders.FILES:
            key = name.split(".")[-2]
            sums.setdefault(key, folders.sha256(package / "tiny_8" / name))
        path.write_text(text.format(**sums))
        entries = registry.read_registry(path, package, package.parent)
        for name, preset in entries.items():
            monkeypatch.setitem(presets.REGISTRY, name, preset)
        return entries

    return register


def row(name="tiny_8", **kwargs):
    return {r["name"]: r for r in presets.table(**kwargs)}[name]


@pytest.mark.parametrize("name", presets.REGISTRY)
def test_every_entry_is_sound(name):
    preset = presets.REGISTRY[name]
    config = json.loads((preset.folder / "config.json").read_text())
    assert config["registered_name"] == f"keras_wmgm>{preset.class_name}"
    assert config["config"]["image_shape"][0] == preset.image_size
    assert preset.description
    assert (preset.repo is None) == (preset.revision is None)
    assert preset.revision is None or COMMIT.fullmatch(preset.revision)
    assert all(re.fullmatch("[0-9a-f]{64}", s) for s in preset.sha256.values())
    assert not preset.has_weights or preset.license
    assert not preset.has_weights or set(preset.sha256) == set(folders.FILES)
    if not preset.repo:
        paths = [preset.folder / file for file in preset.sha256]
        for path in paths:
            assert folders.sha256(path) == preset.sha256[path.name], path
        size = sum(path.stat().st_size for path in paths)
        assert preset.bytes == (size or None)


@cache
def described(preset):
    """Return the model that a preset's configuration describes."""
    return keras_wmgm.from_preset(preset, load_weights=False)


@pytest.mark.once
@pytest.mark.parametrize("name", presets.REGISTRY)
def test_the_zoo_has_the_networks_that_the_package_describes(name, tmp_path):
    here = presets.REGISTRY[name]
    elsewhere = registry.read_registry(checkout=tmp_path)[name]
    elsewhere = name if elsewhere.folder == here.folder else elsewhere.folder
    ours, theirs = described(name), described(elsewhere)
    for role, network in ours.networks.items():
        assert network.config == theirs.networks[role].config, role


def settings(factor):
    """Return what a factor is told, besides its networks and its name."""
    # A preset has no critic, on purpose.
    others = {*PARTS, "name", "build_critic"}
    return {n: v for n, v in factor.get_config().items() if n not in others}


@pytest.mark.once
@pytest.mark.parametrize(
    "name", [name for name, p in presets.REGISTRY.items() if p.recipe]
)
def test_a_preset_is_what_its_recipe_makes(name):
    preset = presets.REGISTRY[name]
    recipe = keras_wmgm.recipes.read_recipe(registry.CHECKOUT / preset.recipe)
    made = keras_wmgm.recipes.build_model(recipe)
    model = described(name)
    assert folders.count_parameters(model) == preset.parameters
    draws = [role for role in made.networks if role != "critic"]
    assert list(model.networks) == draws
    for role, network in model.networks.items():
        assert network.config == made.networks[role].config, role
    for name, factor in model.factors.items():
        assert settings(factor) == settings(made.factors[name]), name


@pytest.mark.parametrize("name", WITHOUT_WEIGHTS)
def test_names_without_weights_have_networks_and_claim_none(name):
    assert name in presets.REGISTRY
    assert row(name)["weights"] == "none yet"
    assert row(name)["fd"] is None
    with pytest.raises(ValueError, match="no weights for this preset"):
        keras_wmgm.from_preset(name)


def test_weights_beside_the_configuration(register):
    preset = register(HERE)["tiny_8"]
    assert preset.has_weights
    assert keras_wmgm.from_preset("tiny_8").adapted
    assert row() == {
        "name": "tiny_8",
        "class": "MultiscaleModel",
        "image_size": 8,
        "parameters": 460,
        "steps": 2,
        "fd": 3.5,
        "fd_images": 1000,
        "license": "cc0-1.0",
        "bytes": 1234,
        "weights": "here",
        "description": "Weights beside the configuration.",
    }
    with pytest.raises(ValueError, match="'tiny_8'.*load_weights=False"):
        keras_wmgm.from_preset("celebahq_128")


@pytest.mark.parametrize("file", ["config", "weights"])
def test_a_shipped_file_of_another_content_is_refused(register, package, file):
    register(HERE, **{file: "0" * 64})
    with pytest.raises(ValueError, match=f"sha256 must be {'0' * 64}"):
        keras_wmgm.from_preset("tiny_8")
    # What is not from a cache is not ours to remove.
    assert len(list((package / "tiny_8").iterdir())) == 3


def test_weights_on_the_hub(register, hub, package, cache):
    commit = hub.add("me/tiny", package / "tiny_8")
    register(HERE + ON_THE_HUB, commit=commit)
    assert row(cache_dir=cache)["weights"] == "to download"
    keras_wmgm.from_preset("tiny_8", load_weights=False, cache_dir=cache)
    assert not hub.requests
    assert keras_wmgm.from_preset("tiny_8", cache_dir=cache).adapted
    asked = len(hub.requests)
    assert row(cache_dir=cache)["weights"] == "cached"
    assert keras_wmgm.from_preset("tiny_8", cache_dir=cache).adapted
    assert len(hub.requests) == asked


def test_weights_in_the_zoo_are_taken_where_it_is_there(register, package):
    text = HERE.replace("image_size", 'zoo = "zoo/tiny_8"\nimage_size')
    without = register(text)["tiny_8"]
    assert without.folder == package / "tiny_8"
    assert not without.has_weights and without.fd is without.bytes is None
    with pytest.raises(ValueError, match="no weights for this preset"):
        keras_wmgm.from_preset("tiny_8")
    there = package.parent / "zoo" / "tiny_8"
    shutil.copytree(package / "tiny_8", there)
    preset = register(text)["tiny_8"]
    assert preset.folder == there and preset.fd == 3.5
    assert keras_wmgm.from_preset("tiny_8").adapted


def test_the_table_asks_for_no_network():
    assert {r["name"] for r in presets.table()} == set(presets.REGISTRY)
