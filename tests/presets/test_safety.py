"""Presets made to harm: each is refused before anything is built from it."""

import json
import os
import re
import resource
import shutil
from concurrent.futures import ThreadPoolExecutor

import h5py
import keras
import numpy as np
import pytest

import keras_wmgm
from keras_wmgm import factors
from keras_wmgm.presets import safety
from keras_wmgm.presets.folder import preset_config
from tests.models import tiny

WEIGHTS, CONFIG = "model.weights.h5", "config.json"


@pytest.fixture(scope="module")
def harmless(tmp_path_factory):
    """A preset of plain layers, without a checksum to give changes away."""
    model = tiny.mixed()
    model.adapt(tiny.IMAGES)
    folder = tmp_path_factory.mktemp("presets") / "harmless"
    model.save_to_preset(folder)
    facts = json.loads((folder / "metadata.json").read_text())
    del facts["sha256"]
    (folder / "metadata.json").write_text(json.dumps(facts))
    return folder


@pytest.fixture
def folder(harmless, tmp_path):
    """A copy that a test may make a hostile one of."""
    return shutil.copytree(harmless, tmp_path / "preset")


@pytest.fixture
def built(monkeypatch):
    """The Keras layers and models that are made, by class."""
    made, init = [], keras.layers.Layer.__init__

    def record(self, *args, **kwargs):
        made.append(type(self).__name__)
        init(self, *args, **kwargs)

    monkeypatch.setattr(keras.layers.Layer, "__init__", record)
    return made


# Hostile configurations: what to put in place of a layer of the coarse
# network, or of a value.


def layer(module, class_name, config, **kwargs):
    return {
        "module": module,
        "class_name": class_name,
        "config": config,
        "registered_name": None,
        "name": "conv2d",
        "inbound_nodes": [],
        **kwargs,
    }


LAMBDA = {
    "class_name": "__lambda__",
    "config": {"value": "4wEAAAAA", "defaults": None, "closure": None},
}
FUNCTION = layer("os", "function", "system", registered_name="system")
TYPESPEC = {
    "class_name": "__typespec__",
    "spec_name": "TensorSpec",
    "module": "tensorflow",
    "config": [[1], "float32"],
    "registered_name": None,
}
TENSOR = {
    "class_name": "__tensor__",
    "config": {"value": [1.0], "dtype": "float32"},
}

LAYERS = {
    "Lambda": layer("keras.layers", "Lambda", {"function": LAMBDA}),
    "Lambda by its old name": {"class_name": "Lambda", "config": {}},
    "a lambda": LAMBDA,
    "a function": FUNCTION,
    "a type of TensorFlow": TYPESPEC,
    "a tensor": TENSOR,
    "a class of Python": layer("builtins", "eval", {"source": "1"}),
    "a process": layer("subprocess", "Popen", {"args": ["id"]}),
    "a pickle": layer("pickle", "Unpickler", {"file": "x"}),
    "a SavedModel": layer("keras.layers", "TFSMLayer", {"filepath": "x"}),
    "torch code": layer("keras.layers", "TorchModuleWrapper", {"module": "x"}),
    "a file of words": layer(
        "keras.layers", "StringLookup", {"vocabulary": "words.txt"}
    ),
    "Keras's insides": layer(
        "keras.src.utils.file_utils", "get_file", {"origin": "x"}
    ),
    "a class under our name": layer(
        "os", "system", {}, registered_name="keras_wmgm>WMGM"
    ),
    "a name nobody registered": layer(
        "keras_wmgm.models.wmgm", "WMGM", {}, registered_name="keras_wmgm>Evil"
    ),
    "somebody's class": layer(
        "evil", "Evil", {}, registered_name="evil_package>Evil"
    ),
    "a class without a name": {"module": "os", "config": {}},
    "a class that is no text": layer(["keras.layers"], {"a": 1}, {}),
    "a configuration that is no object": layer("keras.layers", "Dense", [1]),
    "a compiled layer": layer(
        "keras.layers", "Dense", {"units": 1}, compile_config={"loss": "mse"}
    ),
}

VALUES = {
    "a width that takes all memory": ("filters", 10**9),
    "a number of a thousand digits": ("filters", 10**1000),
    "many wide layers": ("filters", [4096] * 64),
    "an image as large as a country": ("image_shape", [2**20, 2**20, 3]),
    "blocks without end": ("num_blocks", 10**6),
    "a negative number without end": ("units", -(10**12)),
    "not a number": ("epsilon", float("nan")),
    "infinity": ("epsilon", float("inf")),
    "a path up": ("name", "../../etc/passwd"),
    "an absolute path": ("name", "/etc/passwd"),
    "a path of Windows": ("name", "..\\secrets"),
    "a text without end": ("name", "x" * 10**6),
}


def edit(folder, change):
    path = folder / CONFIG
    config = json.loads(path.read_text())
    change(config["config"])
    path.write_text(json.dumps(config))


def set_layer(hostile):
    def change(config):
        config["coarse"]["config"]["network"]["config"]["layers"][2] = hostile

    return lambda folder: edit(folder, change)


def set_value(key, value):
    def change(config):
        layers = config["coarse"]["config"]["network"]["config"]["layers"]
        layers[3]["config"][key] = value

    return lambda folder: edit(folder, change)


def nested(folder):
    (folder / CONFIG).write_text(
        '{"registered_name": "keras_wmgm>WMGM", "a": '
        + 10**5 * "["
        + 10**5 * "]"
        + "}"
    )


def deep(config):
    for _ in range(200):
        config["seed"] = [config["seed"]]


def large(folder):
    (folder / CONFIG).write_text(" " * 2**23 + "{}")


def link(name):
    """Put a file outside, and a link to it in its place."""

    def change(folder):
        outside = folder.parent / "outside"
        outside.mkdir()
        shutil.move(folder / name, outside / name)
        (folder / name).symlink_to(outside / name)

    return change


# Hostile weights


def with_h5(change):
    def spoil(folder):
        with h5py.File(folder / WEIGHTS, "r+") as file:
            change(file)

    return spoil


def external_link(file):
    file["evil"] = h5py.ExternalLink("/etc/hosts", "/")


def soft_link(file):
    file["evil"] = h5py.SoftLink("/vars")


def second_name(file):
    file["coarse/evil"] = file["vars"]


def circle(file):
    file["coarse/evil"] = file["coarse"]


def external_array(file):
    file.create_dataset(
        "evil", (4,), "float32", external=[("/etc/hosts", 0, 16)]
    )


def virtual_array(file):
    layout = h5py.VirtualLayout((4,), "float32")
    layout[:] = h5py.VirtualSource("/etc/hosts", "x", (4,))
    file.create_virtual_dataset("evil", layout)


def terabytes(file):
    file.create_dataset("evil", (2**40,), "float32")


def packed_terabytes(file):
    file.create_dataset(
        "evil", (2**40,), "float32", chunks=(2**20,), compression="gzip"
    )


def objects(file):
    file.create_dataset("evil", data=["a"], dtype=h5py.string_dtype())


def records(file):
    file["evil"] = np.zeros(2, [("a", "f4"), ("b", "S4")])


def references(file):
    file.create_dataset("evil", (1,), h5py.ref_dtype)


def named_type(file):
    file["evil"] = np.dtype("float32")


def places(change):
    """Say something else of where the weights stand."""

    def spoil(folder):
        facts = json.loads((folder / "metadata.json").read_text())
        facts["weights"] = change(facts["weights"])
        (folder / "metadata.json").write_text(json.dumps(facts))

    return spoil


def pickle(folder):
    (folder / WEIGHTS).write_bytes(b"\x80\x04cos\nsystem\n(S'id'\ntR.")


PRESETS = {
    **{name: set_layer(hostile) for name, hostile in LAYERS.items()},
    **{name: set_value(*change) for name, change in VALUES.items()},
    "brackets without end": nested,
    "lists in lists": lambda folder: edit(folder, deep),
    "a configuration of megabytes": large,
    "a configuration elsewhere": link(CONFIG),
    "metadata elsewhere": link("metadata.json"),
    "weights elsewhere": link(WEIGHTS),
    "an external link": with_h5(external_link),
    "a soft link": with_h5(soft_link),
    "an array twice": with_h5(second_name),
    "a circle of groups": with_h5(circle),
    "an array in another file": with_h5(external_array),
    "a virtual array": with_h5(virtual_array),
    "terabytes declared": with_h5(terabytes),
    "terabytes packed": with_h5(packed_terabytes),
    "objects": with_h5(objects),
    "records": with_h5(records),
    "references": with_h5(references),
    "a named type": with_h5(named_type),
    "pickled weights": pickle,
    "a weight under two names": places(lambda p: ["/" + p[1], *p[1:]]),
    "a weight twice": places(lambda p: [p[1], *p[1:]]),
    "a weight of another file": places(lambda p: ["../x/vars/0", *p[1:]]),
    "a group for a weight": places(lambda p: ["/", *p[1:]]),
    "numbers for names": places(lambda p: [0, *p[1:]]),
    "too few weights": places(lambda p: p[1:]),
    "one name for all weights": places("".join),
}


@pytest.mark.parametrize("name", PRESETS)
def test_a_hostile_preset_is_refused_before_anything_is_built(
    name, folder, built
):
    PRESETS[name](folder)
    with pytest.raises(ValueError, match="Received: ") as error:
        keras_wmgm.from_preset(folder)
    assert not built
    assert len(str(error.value)) < 2000


def wide_together():
    """Return a model whose concatenations double, all without values."""
    with keras.StatelessScope(initialize_variables=False):
        inputs = {"log_snr": keras.Input((), name="log_snr")}
        inputs["x"] = h = keras.Input((None, None, 1), name="x")
        for _ in range(28):
            h = keras.layers.Concatenate()([h, h])
        h = keras.layers.Conv2D(1, 3, padding="same")(h)
        network = keras.Model(inputs, h)
        factor = factors.DiffusionFactor(network)
        return preset_config(keras_wmgm.MultiscaleModel((8, 8, 1), 0, factor))


def test_layers_that_are_wide_together_only_take_no_memory(tmp_path):
    """Each concatenation doubles the channels that one small layer reads."""
    # Keras would give values to all that lacks them later in this thread.
    with ThreadPoolExecutor(1) as thread:
        config = thread.submit(wide_together).result()
    text = re.sub(r"\b[0-9]{6,}\b", "1", json.dumps(config))
    text = text.replace('"build_config"', '"x"')  # it would tell the shapes
    (tmp_path / CONFIG).write_text(text)
    with pytest.raises(ValueError, match="more weights than.*Received: 2e.09"):
        keras_wmgm.from_preset(tmp_path, load_weights=False)


def bare(module, name, values, shape, registered=None):
    """Return a layer on its own, with a shape that Keras builds it for."""
    return {
        "module": module,
        "class_name": name,
        "config": values,
        "registered_name": registered,
        "build_config": {"input_shape": [None, *shape]},
    }


BARE = {
    "a weight for every pixel": bare(
        "keras.layers", "PReLU", {}, [65536, 65536, 65536]
    ),
    "half a gigabyte": bare("keras.layers", "PReLU", {}, [16384, 8192]),
    "a kernel as large as its input": bare(
        "keras.layers",
        "Conv2D",
        {"filters": 300, "kernel_size": [64, 64]},
        [64, 64, 65536],
    ),
    "a block of ours": bare(
        "keras_wmgm.layers.residual_block",
        "ResidualBlock",
        {"filters": 1024},
        [8, 8, 16384],
        "keras_wmgm>ResidualBlock",
    ),
}


def give_values():
    """Let Keras give values to all weights of this thread that lack them."""
    with keras.StatelessScope():
        pass


@pytest.mark.parametrize("name", BARE)
def test_layers_built_for_huge_shapes_take_no_memory(name, folder):
    def put(config):
        config["coarse"]["config"]["network"] = BARE[name]

    keras_wmgm.from_preset(folder)  # what the first one imports
    give_values()  # to what other tests have left
    edit(folder, put)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match="Received: "):
        keras_wmgm.from_preset(folder)
    give_values()
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert after - before < 400_000  # KiB


def test_harmless_presets_pass(folder, built):
    assert keras_wmgm.from_preset(folder).adapted
    assert "MultiscaleModel" in built
    assert len(PRESETS) >= 15


@pytest.mark.parametrize(
    "make", [tiny.small_wmgm, tiny.model, tiny.mixed, keras_wmgm.WMGM]
)
def test_what_is_saved_here_may_be_loaded(make):
    safety.check_config(preset_config(make()))


def test_every_class_on_the_list_is_one_of_keras():
    for module, names in safety.ALLOWED.items():
        if not module.startswith("keras.src"):
            space = getattr(keras, module.partition(".")[2], keras)
            assert not [name for name in names if not hasattr(space, name)]


@keras.saving.register_keras_serializable(package="a_user")
class Warmer(factors.DiffusionFactor):
    """A factor that is not of this package."""


def test_a_class_of_the_callers_own_is_loaded_where_it_is_handed_in(tmp_path):
    model = keras_wmgm.MultiscaleModel((8, 8, 1), 0, Warmer(tiny.score(1)))
    model.adapt(tiny.IMAGES)
    model.save_to_preset(tmp_path)
    with pytest.raises(ValueError, match="custom_objects=.*a_user>Warmer"):
        keras_wmgm.from_preset(tmp_path)
    own = {"a_user>Warmer": Warmer}
    loaded = keras_wmgm.from_preset(tmp_path, custom_objects=own)
    assert type(loaded.coarse) is Warmer


def test_no_file_of_a_preset_may_be_a_pipe(folder):
    (folder / CONFIG).unlink()
    os.mkfifo(folder / CONFIG)
    with pytest.raises(FileNotFoundError, match="has a config.json"):
        keras_wmgm.from_preset(folder)
