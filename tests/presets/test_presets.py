import errno
import json
import math
import os
import shutil
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

import keras_wmgm
from keras_wmgm import WMGM
from keras_wmgm import factors
from keras_wmgm import networks
from keras_wmgm import presets
from keras_wmgm.presets import folder as folders
from keras_wmgm.presets.safety import MAX_BYTES
from keras_wmgm.utils import lock
from tests.models import tiny

DRAW = {"num_steps": 2, "seed": 5, "verbose": 0, "dtype": "float32"}


@pytest.fixture(scope="module")
def trained():
    """A model with averages, a GAN and diffusion."""
    keras.utils.set_random_seed(6)
    model = tiny.mixed()
    ema = {"use_ema": True, "ema_momentum": 0.5}
    optimizer = keras.optimizers.Adam(1e-2, **ema)
    tiny.compiled(model, optimizer, **tiny.EAGERLY)
    # After its first step the average is still the weight itself.
    model.fit(tiny.IMAGES, batch_size=4, verbose=0)
    return model


@pytest.fixture(scope="module")
def saved(trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("presets") / "float32"
    trained.save_to_preset(folder)
    return folder


@pytest.fixture
def copied(saved, tmp_path):
    """A preset that a test may damage."""
    return shutil.copytree(saved, tmp_path / "preset")


@pytest.mark.each
def test_a_preset_draws_what_the_model_draws(trained, saved):
    model = keras_wmgm.from_preset(saved)
    assert type(model) is keras_wmgm.MultiscaleModel
    drawn, expected = model.generate(2, **DRAW), trained.generate(2, **DRAW)
    np.testing.assert_array_equal(drawn, expected)
    assert expected.std() > 0.1


def test_a_preset_is_opened_by_keras_too(trained, saved):
    model = keras.saving.load_model(saved)
    np.testing.assert_array_equal(
        model.generate(2, **DRAW), trained.generate(2, **DRAW)
    )


def test_half_a_presets_bytes_draw_nearly_the_same(trained, tmp_path):
    trained.save_to_preset(tmp_path, dtype="float16")
    model = keras_wmgm.from_preset(str(tmp_path))
    error = model.generate(2, **DRAW) - trained.generate(2, **DRAW)
    assert np.abs(error).max() < 2 / 127.5
    tiny.assert_equal(
        {"": model.pyramid.get_weights()}, {"": trained.pyramid.get_weights()}
    )
    dtypes = {
        ("pyramid" in name, values.dtype.name)
        for name, values in tensors(tmp_path).items()
    }
    assert dtypes == {(False, "float16"), (True, "float32")}


def tensors(folder):
    """Return the arrays in the preset's weights by name."""
    found = {}

    def visit(name, item):
        if isinstance(item, h5py.Dataset):
            found[name] = item[()]

    with h5py.File(folder / "model.weights.h5") as file:
        file.visititems(visit)
    return found


def test_saved_tensors_are_those_that_draw_and_no_others(trained, saved):
    expected = tiny.weights(trained)
    del expected["critic_1"]
    expected = sum(expected.values(), [])
    found = list(tensors(saved).values())
    assert len(found) == len(expected)

    def key(values):
        return values.shape, values.tobytes()

    assert sorted(map(key, found)) == sorted(map(key, expected))


def test_saving_a_preset_leaves_the_model_as_it_was(trained, tmp_path):
    for averaged in (True, False):
        trained.use_average(averaged)
        before = tiny.weights(trained)
        trained.save_to_preset(tmp_path)
        assert trained.averaged == averaged
        tiny.assert_equal(tiny.weights(trained), before)
    # What was saved from raw weights is the average all the same.
    trained.use_average(True)
    expected = tiny.weights(trained)
    del expected["critic_1"]
    tiny.assert_equal(tiny.weights(keras_wmgm.from_preset(tmp_path)), expected)


def test_the_critic_is_described_and_made_for_training(saved, trained):
    model = keras_wmgm.from_preset(saved)
    roles = ["coarse", "detail_1", "detail_2"]
    assert list(model.networks) == roles
    drawing = tiny.weights(model)
    statistics = tiny.weights(model)["pyramid"]
    model.compile(**tiny.EAGERLY)
    assert sorted(model.networks) == ["coarse", "critic_1", *roles[1:]]
    critic = trained.networks["critic_1"]
    made = model.networks["critic_1"]
    assert made.count_params() == critic.count_params()
    tiny.assert_equal(
        {k: v for k, v in tiny.weights(model).items() if k != "critic_1"},
        drawing,
    )
    history = model.fit(tiny.IMAGES[:8], batch_size=8, verbose=0).history
    assert np.isfinite(history["critic_1_loss"]).all()
    # Statistics are the preset's, not those of the new images.
    tiny.assert_equal(
        {"pyramid": tiny.weights(model)["pyramid"]}, {"pyramid": statistics}
    )


def test_a_preset_made_of_a_preset_is_the_same(saved, tmp_path):
    keras_wmgm.from_preset(saved).save_to_preset(tmp_path)
    for name in (folders.CONFIG, folders.METADATA):
        first, second = (
            json.loads((f / name).read_text()) for f in (saved, tmp_path)
        )
        for content in (first, second):
            content.pop("sha256", None)
        assert first == second
    tiny.assert_equal(
        {k: [v] for k, v in tensors(tmp_path).items()},
        {k: [v] for k, v in tensors(saved).items()},
    )


def test_metadata_tell_what_was_saved(trained, tmp_path):
    trained.save_to_preset(tmp_path, metadata={"data": "closed form"})
    facts = json.loads((tmp_path / "metadata.json").read_text())
    assert facts["class"] == "MultiscaleModel"
    assert facts["data"] == "closed form"
    assert facts["keras_wmgm_version"] == keras_wmgm.__version__
    assert facts["keras_version"] == keras.__version__
    networks = trained.networks
    assert facts["parameters"] == sum(
        networks[role].count_params()
        for role in ("coarse", "detail_1", "detail_2")
    )
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "config.json",
        "metadata.json",
        "model.weights.h5",
    ]


def test_weights_are_where_the_metadata_say(trained, copied):
    facts = json.loads((copied / "metadata.json").read_text())
    places, held = facts["weights"], tensors(copied)
    assert set(places) == set(held)
    loaded = keras_wmgm.from_preset(copied)
    for weight, where in zip(loaded.weights, places, strict=True):
        np.testing.assert_array_equal(tiny.copy(weight), held[where])


@pytest.mark.parametrize(
    "change",
    [
        {"weights": None},
        {"keras_wmgm_version": "0.0.9"},
        {"keras_version": "3.14.2"},
    ],
)
def test_an_order_of_another_version_is_not_trusted(copied, change):
    expected = tiny.weights(keras_wmgm.from_preset(copied))

    def edit(facts):
        facts["weights"].reverse()  # not this version's order
        facts.update(change)

    edit_facts(copied, edit)
    found = tiny.weights(keras_wmgm.from_preset(copied))
    tiny.assert_equal(found, expected)


def test_a_preset_holds_float32_or_float16(tmp_path):
    keras.config.set_dtype_policy("bfloat16")
    try:
        model = tiny.model(0)
    finally:
        keras.config.set_dtype_policy("float32")
    model.adapt(tiny.IMAGES)
    with pytest.raises(ValueError, match="Received: weights in bfloat16"):
        model.save_to_preset(tmp_path / "preset")
    assert not (tmp_path / "preset").exists()


def test_without_weights_a_preset_is_an_untrained_model(copied):
    (copied / "model.weights.h5").unlink()
    model = keras_wmgm.from_preset(copied, load_weights=False)
    assert not model.adapted
    with pytest.raises(FileNotFoundError, match="load_weights=False.*Received"):
        keras_wmgm.from_preset(copied)


def test_a_preset_of_another_class_is_refused(saved):
    with pytest.raises(ValueError, match="is a `MultiscaleModel`.*Received"):
        WMGM.from_preset(saved)
    model = keras_wmgm.MultiscaleModel.from_preset(saved, load_weights=False)
    assert sorted(model.networks) == ["coarse", "detail_1", "detail_2"]


def test_a_preset_is_replaced_and_other_folders_are_not(trained, tmp_path):
    preset, other = tmp_path / "preset", tmp_path / "other"
    trained.save_to_preset(preset, metadata={"version": 1})
    trained.save_to_preset(preset, metadata={"version": 2})
    assert '"version": 2' in (preset / "metadata.json").read_text()
    other.mkdir()
    (other / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="not empty.*Received"):
        trained.save_to_preset(other)
    with pytest.raises(FileExistsError, match="Received"):
        trained.save_to_preset(other / "notes.txt")
    assert [p.name for p in other.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("name", folders.FILES)
def test_a_write_that_fails_leaves_the_old_preset_whole(
    copied, monkeypatch, name
):
    before = {p.name: p.read_bytes() for p in copied.iterdir()}
    changed = tiny.mixed()
    changed.adapt(tiny.IMAGES)

    def failing(write):
        def fail(self, content):
            if name in self.name:
                raise OSError("no space left")
            return write(self, content)

        return fail

    for method in ("write_text", "write_bytes"):
        monkeypatch.setattr(Path, method, failing(getattr(Path, method)))
    with pytest.raises(OSError, match="no space left"):
        changed.save_to_preset(copied)
    assert {p.name: p.read_bytes() for p in copied.iterdir()} == before


@pytest.mark.parametrize(
    "function, number", [*(("fsync", n) for n in range(3)), ("replace", 0)]
)
def test_a_disk_that_is_full_at_any_moment_leaves_the_old_preset_whole(
    copied, monkeypatch, function, number
):
    before = {p.name: p.read_bytes() for p in copied.iterdir()}
    changed = tiny.mixed()
    changed.adapt(tiny.IMAGES)
    calls, call = [], getattr(os, function)

    def fail(*args):
        calls.append(args)
        if len(calls) > number:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return call(*args)

    with monkeypatch.context() as patch:
        patch.setattr(os, function, fail)
        with pytest.raises(OSError, match="cannot be written.*is kept"):
            changed.save_to_preset(copied)
    assert len(calls) == number + 1
    assert {p.name: p.read_bytes() for p in copied.iterdir()} == before


def test_a_folder_with_nothing_but_a_lock_is_free(trained, tmp_path):
    (tmp_path / lock.NAME).touch()
    trained.save_to_preset(tmp_path)
    assert keras_wmgm.from_preset(tmp_path).adapted


def test_weights_that_float16_cannot_hold_are_refused(tmp_path):
    model = tiny.mixed()
    model.adapt(tiny.IMAGES)
    model.networks["coarse"].weights[-1].assign([1e5])
    with pytest.raises(ValueError, match="float16 cannot hold.*Received.*1000"):
        model.save_to_preset(tmp_path / "preset", dtype="float16")
    assert not any((tmp_path / "preset").glob("*"))


def named(name):
    return tiny.model(0, name=name)


def of_layers_that_may_hold_code():
    network = tiny.score(1)
    layer = keras.layers.Lambda(lambda x: x)
    inputs = {symbol.name: symbol for symbol in network.inputs}
    outputs = layer(network.outputs[0])
    return keras_wmgm.MultiscaleModel(
        (8, 8, 1),
        0,
        factors.DiffusionFactor(keras.Model(inputs, outputs)),
    )


REFUSED = {
    "a name like a path": (lambda: named("a..b"), {}, "names, not paths"),
    "a long name": (lambda: named("n" * 1001), {}, "at most 1000"),
    "code": (of_layers_that_may_hold_code, {}, "classes of keras_wmgm"),
    "long metadata": (
        lambda: named("a"),
        {"metadata": {"a": "b" * (MAX_BYTES + 1)}},
        "metadata.json of a preset has at most",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_could_not_be_loaded_is_not_written(tmp_path, case):
    make, options, text = REFUSED[case]
    model = make()
    model.adapt(tiny.IMAGES)
    with pytest.raises(ValueError, match=f"{text}.*Received"):
        model.save_to_preset(tmp_path / "preset", **options)
    assert not (tmp_path / "preset").exists()


@pytest.mark.parametrize("role", ["coarse", "pyramid"])
def test_what_is_not_finite_is_no_preset(tmp_path, role):
    model = tiny.mixed()
    model.adapt(tiny.IMAGES)
    parts = {**model.networks, "pyramid": model.pyramid}
    weight = parts[role].weights[0]
    weight.assign(weight * float("nan"))
    with pytest.raises(ValueError, match="`save_to_preset` needs.*Received"):
        model.save_to_preset(tmp_path / "preset")
    assert not (tmp_path / "preset").exists()


def test_a_path_may_begin_at_home(trained, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    trained.save_to_preset("~/preset")
    assert [p.name for p in tmp_path.iterdir()] == ["preset"]
    assert keras_wmgm.from_preset("~/preset").adapted


def truncate(folder):
    path = folder / "model.weights.h5"
    path.write_bytes(path.read_bytes()[:-100])


def edit_facts(folder, change):
    facts = json.loads((folder / "metadata.json").read_text())
    change(facts)
    (folder / "metadata.json").write_text(json.dumps(facts))


def forget_sum(folder):
    edit_facts(folder, lambda facts: facts.pop("sha256"))


def swap_places(folder):
    def change(facts):
        facts["weights"].reverse()

    edit_facts(folder, change)


def rewrite(name, text):
    def damage(folder):
        (folder / name).write_text(text)

    return damage


def another_size(folder):
    path = folder / "config.json"
    config = json.loads(path.read_text())
    config["config"]["image_shape"] = [8, 8, 3]
    path.write_text(json.dumps(config))


def other_library(folder):
    path = folder / "config.json"
    text = path.read_text()
    path.write_text(text.replace("keras_wmgm>Multiscale", "other>Multiscale"))


def unknown_argument(folder):
    path = folder / "config.json"
    config = json.loads(path.read_text())
    config["config"]["colour"] = "blue"
    path.write_text(json.dumps(config))


DAMAGES = [
    (lambda f: (f / "config.json").unlink(), "has a config.json"),
    (lambda f: (f / "metadata.json").unlink(), "has a metadata.json"),
    (rewrite("config.json", "{"), "not readable as JSON"),
    (rewrite("config.json", "[1]"), "must hold an object"),
    (rewrite("config.json", '{"a": 1}'), "another library"),
    (rewrite("metadata.json", "\0"), "not readable as JSON"),
    (other_library, "another library"),
    (unknown_argument, "describes no model"),
    (truncate, "sha256 must be"),
    (lambda f: (truncate(f), forget_sum(f)), "no whole HDF5 file"),
    (another_size, "must have 3 channels"),
    (swap_places, "has the shape"),
]


@pytest.mark.parametrize(
    "damage, text", DAMAGES, ids=[text for _, text in DAMAGES]
)
def test_a_damaged_preset_is_refused(copied, damage, text):
    damage(copied)
    with pytest.raises((ValueError, OSError), match=text) as error:
        keras_wmgm.from_preset(copied)
    assert "Received: " in str(error.value).splitlines()[-1]


@pytest.mark.parametrize(
    "handle, text",
    [
        (
            "paper_wmgm_218",
            "Did you mean 'paper_wmgm_128' or 'afhq_dog_128' or "
            "'faces_utk_128'. Received",
        ),
        ("no/such/folder", "or a folder. Received: 'no/such/folder'"),
        ("paper_wmgm_128", "no weights for this preset.*Received"),
    ],
)
def test_handles_that_lead_nowhere_are_refused(handle, text):
    with pytest.raises((ValueError, FileNotFoundError), match=text):
        keras_wmgm.from_preset(handle)


# The paper's networks


def test_registered_presets_know_their_class():
    assert WMGM.presets == presets.presets_of("WMGM")
    assert "paper_wmgm_128" in WMGM.presets
    assert not keras_wmgm.MultiscaleModel.presets
    for preset in presets.REGISTRY.values():
        config = json.loads((preset.folder / "config.json").read_text())
        assert config["registered_name"] == f"keras_wmgm>{preset.class_name}"
        assert preset.description


def test_the_papers_preset_is_the_model_built_by_arguments():
    # The scope spares us the initial values of 132 million parameters.
    with keras.StatelessScope(initialize_variables=False):
        model = WMGM(
            (128, 128, 3),
            num_levels=2,
            coarse=factors.DiffusionFactor(
                networks.ScoreUNet(
                    3,
                    filters=(128, 256, 256, 256),
                    num_blocks=3,
                    attention_levels=(1, 2),
                    attention_gates=False,
                    normalization="group",
                )
            ),
            details=factors.AdversarialFactor(
                networks.DetailUNet(
                    3,
                    filters=(64, 128, 256, 512, 1024),
                    normalization="batch",
                ),
                networks.DetailCritic(
                    3,
                    filters=(64, 128, 256, 512, 1024, 2048),
                    normalization="batch",
                    dropout=0.5,
                ),
                critic_input="image",
                mse_weight=20.0,
                ssim_weight=0.5,
                adversarial_weight=0.1,
            ),
        )
        preset = WMGM.from_preset("paper_wmgm_128", load_weights=False)
        assert described(preset) == described(model)
        count = sum(
            math.prod(variable.shape)
            for network in preset.networks.values()
            for variable in network.trainable_variables
        )
    assert count == WMGM.presets["paper_wmgm_128"].parameters == 89_014_579
    assert list(preset.networks) == ["coarse", "detail"]


def described(model):
    """Return a model's configuration without the names of its layers."""

    def strip(config):
        if isinstance(config, dict):
            return {
                key: strip(value)
                for key, value in config.items()
                if key not in ("name", "build_critic")
            }
        return config

    return strip(json.loads(json.dumps(model.get_config())))


def test_what_a_killed_process_left_is_no_reason_to_refuse(trained, tmp_path):
    (tmp_path / ".new.model.weights.h5").write_bytes(b"half of it")
    trained.save_to_preset(tmp_path)
    (tmp_path / "config.json").unlink()  # killed before it was renamed
    trained.save_to_preset(tmp_path)
    drawn = keras_wmgm.from_preset(tmp_path).generate(2, **DRAW)
    np.testing.assert_array_equal(drawn, trained.generate(2, **DRAW))
    assert len(list(tmp_path.iterdir())) == 3
