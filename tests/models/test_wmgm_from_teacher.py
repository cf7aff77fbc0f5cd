"""A `WMGM` that is distilled from a trained `WSGM`."""

import json

import h5py
import keras
import numpy as np
import pytest
from keras import ops

import keras_wmgm
from keras_wmgm import WMGM
from keras_wmgm import WSGM
from keras_wmgm.callbacks import RunFolder
from keras_wmgm.callbacks import load_run
from keras_wmgm.factors import DistilledFactor
from tests.helpers import fill
from tests.helpers import to_numpy
from tests.models import tiny

IMAGES = tiny.IMAGES
FIT = {"x": IMAGES, "batch_size": 8, "verbose": 0}
DRAW = {"num_steps": 2, "seed": 5, "verbose": 0, "dtype": "float32"}
TOLERANCE = 1e-6
"""A backend may add in another order from run to run."""


ROLES = ("coarse", "detail_1", "fake_1", "detail_2", "fake_2")


def averaging(rate=1e-2, **kwargs):
    ema = {"use_ema": True, "ema_momentum": 0.5}
    return keras.optimizers.Adam(rate, **ema, **kwargs)


def guided(channels, condition=0, **kwargs):
    """Return a factor whose guide differs from its network."""
    guide = fill(tiny.score(channels, condition), offset=7)
    return tiny.diffusion(
        channels, condition=condition, guide=guide, guidance=1.5, **kwargs
    )


def wsgm(details=None, coarse=None, **kwargs):
    """Return a teacher of plain convolutions with band statistics."""
    details = details or [guided(3, 1, temperature=1.1), tiny.diffusion(3, 1)]
    levels = len(details) if isinstance(details, list) else 2
    model = WSGM((8, 8, 1), levels, coarse or guided(1), details, **kwargs)
    model.adapt(IMAGES)
    return model


def raw_and_averaged(model):
    """Return raw and averaged weights; leaves the averages in place."""
    model.use_average(False)
    raw = tiny.weights(model)
    model.use_average(True)
    return raw, tiny.weights(model)


@pytest.fixture(scope="module")
def teacher():
    """A teacher whose averages are not its raw weights."""
    keras.utils.set_random_seed(5)
    model = tiny.compiled(wsgm(seed=9), averaging(), **tiny.EAGERLY)
    model.fit(epochs=2, **FIT)
    raw, averaged = raw_and_averaged(model)
    assert tiny.moved(raw, averaged) == set(model.networks)
    return model


@pytest.fixture(scope="module")
def trained(teacher):
    """A model that has been distilled for a few steps."""
    model = tiny.compiled(WMGM.from_teacher(teacher), averaging())
    model.fit(**FIT)
    return model


# What is taken over


def by_network(model):
    """Return the weights of each network of a `WSGM`'s factors."""
    weights = tiny.weights(model)
    return {
        "pyramid": weights["pyramid"],
        **{name: weights[name] for name in ("coarse", "detail_1", "detail_2")},
        "guides": weights["guide_coarse"] + weights["guide_1"],
    }


@pytest.mark.parametrize("averaged", [True, False])
def test_averages_and_statistics_are_taken_over(teacher, averaged):
    expected = by_network(teacher)
    teacher.use_average(averaged)
    model = WMGM.from_teacher(teacher)
    teacher.use_average(True)
    weights = tiny.weights(model)
    found = {name: weights[name] for name in ("pyramid", "coarse")}
    teachers = [model.coarse.teacher]
    for k, factor in enumerate(model.details, start=1):
        found[f"detail_{k}"] = weights[f"detail_{k}"]
        teachers.append(factor.teacher)
        tiny.assert_equal(
            {"": [tiny.copy(w) for w in factor.teacher.network.weights]},
            {"": expected[f"detail_{k}"]},
        )
    guides = [t.guide.weights for t in teachers if t.guide is not None]
    found["guides"] = [tiny.copy(w) for w in sum(guides, [])]
    tiny.assert_equal(found, expected)
    assert model.adapted and not model.averaged


def test_sizes_settings_and_seed_are_taken_over(teacher):
    model = WMGM.from_teacher(teacher)
    assert type(model) is WMGM and model.image_shape == (8, 8, 1)
    assert (model.num_levels, model.seed) == (2, 9)
    assert [type(f) for f in model.details] == [DistilledFactor] * 2
    assert [f.temperature for f in model.details] == [1.1, 1.0]
    guidance = [f.teacher.guidance for f in (model.coarse, *model.details)]
    assert guidance == [1.5, 1.5, 1.0]
    other = WMGM.from_teacher(teacher, seed=4, name="mine")
    assert (other.seed, other.name) == (4, "mine")


@pytest.mark.parametrize("averaged", [True, False])
def test_the_teacher_is_left_as_it_was(teacher, averaged):
    raw, shown = raw_and_averaged(teacher)
    moments = tiny.moments(teacher)
    variables = [id(v) for v in teacher.trainable_variables]
    teacher.use_average(averaged)
    model = WMGM.from_teacher(teacher)
    assert teacher.averaged == averaged
    tiny.compiled(model, "sgd", **tiny.EAGERLY).fit(**FIT)
    assert teacher.averaged == averaged
    found = raw_and_averaged(teacher)
    tiny.assert_equal(found[0], raw)
    tiny.assert_equal(found[1], shown)
    tiny.assert_equal(tiny.moments(teacher), moments)
    assert [id(v) for v in teacher.trainable_variables] == variables
    shared = {id(w) for w in teacher.weights} & {id(w) for w in model.weights}
    assert not shared


def test_one_factor_of_all_levels_is_one_again():
    model = WMGM.from_teacher(wsgm(tiny.diffusion(3, 1), tiny.diffusion()))
    assert model.shares_details and list(model.factors) == ["coarse", "detail"]
    model.compile()
    assert model.trained_roles() == ("coarse", "detail", "fake")


# Drawing


def test_each_detail_band_takes_one_call(teacher):
    assert teacher.network_calls(num_steps=8) == 16 + 16 + 8
    model = WMGM.from_teacher(teacher)
    assert model.network_calls(num_steps=8) == 8 + 2
    assert model.network_calls(num_steps=1) == 3


def test_it_draws_at_first_what_an_unguided_teacher_does_in_one_step():
    teacher = wsgm([tiny.diffusion(3, 1) for _ in range(2)], tiny.diffusion())
    for i, network in enumerate(teacher.networks.values()):
        fill(network, offset=9 * i)
    draw = {**DRAW, "num_steps": 1}
    expected = teacher.generate(3, **draw)
    found = WMGM.from_teacher(teacher).generate(3, **draw)
    np.testing.assert_allclose(found, expected, 0, 1e-4)
    assert expected.std() > 0.1


@pytest.mark.parametrize("batch_size", [1, 2])
def test_a_seed_gives_one_picture_whatever_the_batch(trained, batch_size):
    expected = trained.generate(3, **DRAW)
    found = trained.generate(3, batch_size=batch_size, **DRAW)
    np.testing.assert_allclose(found, expected, 0, 1e-5)
    last = trained.generate(1, start=2, **DRAW)
    np.testing.assert_allclose(last, expected[2:], 0, 1e-5)
    assert np.abs(expected[0] - expected[1]).mean() > 0.01


# Learning


def test_roles_are_those_that_learn(trained):
    assert trained.trained_roles() == ROLES
    assert trained.trained_roles("detail") == ROLES[1:]
    assert trained.trained_roles("fake") == ("fake_1", "fake_2")
    assert trained.trained_roles("detail_1") == ("detail_1", "fake_1")
    assert trained.trained_roles("draw_1") == ("detail_1",)
    assert set(trained.networks) - set(ROLES) == {
        "teacher_coarse",
        "teacher_1",
        "teacher_2",
    }
    assert set(trained.optimizer.by_role) == set(ROLES)
    for name in ("teacher", "teacher_1"):
        with pytest.raises(ValueError, match="must be one of.*Received"):
            trained.trained_roles(name)
        with pytest.raises(ValueError, match="must be one of.*Received"):
            WMGM.from_teacher(wsgm()).compile({name: "sgd"})


@pytest.mark.parametrize(
    "factors, moved",
    [
        ("detail_1", ["detail_1", "fake_1"]),
        ("fake_2", ["fake_2"]),
        ("draw_2", ["detail_2"]),
        ("coarse", ["coarse"]),
        (None, ROLES),
    ],
    ids=str,
)
def test_what_is_trained_moves_and_nothing_else(teacher, factors, moved):
    moved = set(moved)
    model = WMGM.from_teacher(teacher)
    model.compile("sgd", **tiny.EAGERLY)
    # At first there is nothing to learn from a teacher without a guide.
    fill(model.networks["fake_2"])
    before = tiny.weights(model)
    history = model.fit(factors=factors, **{**FIT, "x": IMAGES[:8]}).history
    assert tiny.moved(tiny.weights(model), before) == moved
    shown = {name for name in history if name.endswith("_loss")}
    assert shown == {f"{role}_loss" for role in moved}
    assert all(np.isfinite(values).all() for values in history.values())
    for k in (1, 2):
        measured = {f"std_ratio_{k}", f"spread_{k}"} & set(history)
        assert bool(measured) == bool({f"detail_{k}", f"fake_{k}"} & moved)


def test_the_coarse_network_learns_what_it_and_its_guide_predict():
    """Its loss at first is that of what the guide adds, half a difference."""
    teacher = wsgm()
    fill(teacher.coarse.network)
    model = WMGM.from_teacher(teacher)
    factor = model.coarse
    assert factor.guide is None and factor.guidance == 1
    model.compile({"coarse": keras.optimizers.Adam(3e-3)}, **tiny.EAGERLY)
    x = ops.convert_to_tensor(IMAGES[:, ::4, ::4])
    log_snr = ops.convert_to_tensor(np.linspace(-4, 4, 16, dtype="float32"))
    inputs = {"x": x, "log_snr": log_snr}
    v, weak = (
        n(inputs) for n in (factor.teacher.network, factor.teacher.guide)
    )
    wanted = to_numpy(v + 0.5 * (v - weak))

    def off():
        return ((to_numpy(factor.network(inputs)) - wanted) ** 2).mean()

    added = to_numpy(0.5 * (v - weak))
    before = off()
    np.testing.assert_allclose(before, (added**2).mean(), 1e-4)
    model.fit(factors="coarse", epochs=8, **FIT)
    assert before > 0.1 and off() < 0.7 * before


def test_a_coarse_factor_without_guidance_is_only_copied():
    for coarse in (
        tiny.diffusion(),
        tiny.diffusion(guide=tiny.score(1), guidance=1.0),
    ):
        made = WMGM.from_teacher(wsgm(coarse=coarse)).coarse
        assert made is not coarse and made.teacher is None
        assert (made.guide is None) == (coarse.guide is None)
        tiny.assert_equal(
            {"": [tiny.copy(w) for w in made.weights]},
            {"": [tiny.copy(w) for w in coarse.weights]},
        )


def test_held_out_images_are_evaluated(trained):
    history = trained.evaluate(
        IMAGES, batch_size=8, verbose=0, return_dict=True
    )
    assert {"coarse_loss", "detail_1_loss", "fake_1_loss"} < set(history)
    again = trained.evaluate(IMAGES, batch_size=8, verbose=0, return_dict=True)
    assert again == pytest.approx(history, rel=1e-5)


@pytest.mark.skipif(tiny.BACKEND == "torch", reason="has no XLA here")
def test_xla_compiles_training():
    model = WMGM.from_teacher(wsgm([guided(3, 1)]))
    tiny.compiled(model, "sgd", jit_compile=True)
    before = tiny.weights(model)
    history = model.fit(**FIT).history
    assert all(np.isfinite(values).all() for values in history.values())
    assert tiny.moved(tiny.weights(model), before) == set(model.trained_roles())


@pytest.mark.skipif(
    not tiny.learns_in_bfloat16(), reason="no bfloat16 on this processor"
)
def test_mixed_precision_trains_and_draws(mixed_bfloat16):
    model = WMGM.from_teacher(wsgm([guided(3, 1)]))
    model.compile(averaging(), **tiny.EAGERLY)
    assert {str(w.dtype) for w in model.trainable_variables} == {"float32"}
    assert model.networks["fake_1"].compute_dtype == "bfloat16"
    before = tiny.weights(model)
    history = model.fit(**FIT).history
    assert all(np.isfinite(values).all() for values in history.values())
    assert tiny.moved(tiny.weights(model), before) == set(model.trained_roles())
    pictures = model.generate(2, **DRAW)
    assert pictures.dtype == np.float32 and np.isfinite(pictures).all()


# Presets


@pytest.fixture(scope="module")
def saved(trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("presets") / "wmgm"
    trained.save_to_preset(folder)
    return folder


def test_a_preset_draws_the_same_and_holds_only_what_draws(trained, saved):
    twin = WMGM.from_preset(saved)
    assert type(twin) is WMGM
    np.testing.assert_array_equal(
        twin.generate(2, **DRAW), trained.generate(2, **DRAW)
    )
    roles = ["coarse", "detail_1", "detail_2"]
    assert list(twin.networks) == roles
    expected = tiny.weights(trained)
    kept = {name: expected[name] for name in (*roles, "pyramid")}
    tiny.assert_equal(tiny.weights(twin), kept)
    found = []

    def visit(name, item):
        if isinstance(item, h5py.Dataset):
            found.append(item[()])

    with h5py.File(saved / "model.weights.h5") as file:
        file.visititems(visit)

    def key(values):
        return values.shape, values.tobytes()

    arrays = sum(kept.values(), [])
    assert sorted(map(key, found)) == sorted(map(key, arrays))
    config = json.loads((saved / "config.json").read_text())["config"]
    for factor in (config["coarse"], *config["details"]):
        assert factor["config"]["teacher"] is None
        assert factor["config"].get("fake") is None
    facts = json.loads((saved / "metadata.json").read_text())
    assert facts["class"] == "WMGM" and facts["parameters"] == sum(
        trained.networks[role].count_params() for role in roles
    )


def test_a_presets_details_learn_no_more_and_the_rest_does(saved):
    model = tiny.compiled(keras_wmgm.from_preset(saved), "sgd", **tiny.EAGERLY)
    before = tiny.weights(model)
    for factors in (None, "detail", "detail_1", "draw_2", ("coarse", "draw_1")):
        with pytest.raises(
            ValueError, match=r"from_teacher\(WSGM.*'coarse'.*Received: "
        ):
            model.fit(factors=factors, **FIT)
    for method in (model.evaluate, model.train_on_batch, model.test_on_batch):
        with pytest.raises(ValueError, match="learns from a teacher"):
            method(IMAGES[:8])
    assert not tiny.moved(tiny.weights(model), before)
    history = model.fit(factors="coarse", validation_data=IMAGES[:8], **FIT)
    assert tiny.moved(tiny.weights(model), before) == {"coarse"}
    assert np.isfinite(history.history["val_coarse_loss"]).all()


# A run that is broken off


EPOCHS, DONE = 2, 1


def everything(model):
    """Return all that makes up the state of a training run."""
    raw, averaged = raw_and_averaged(model)
    states = [tiny.copy(v) for v in tiny.random_states(model)]
    return {
        **averaged,
        **{f"raw {k}": v for k, v in raw.items()},
        **{f"{k} moments": v for k, v in tiny.moments(model).items()},
        "random states": states,
    }


def test_a_run_goes_on_as_if_it_had_not_been_broken_off(tmp_path):
    start = wsgm([guided(3, 1)])
    for i, network in enumerate(start.networks.values()):
        fill(network, offset=9 * i)

    def make():
        keras.utils.set_random_seed(4)
        optimizers = {role: averaging(name=role) for role in ROLES[:3]}
        return tiny.compiled(
            WMGM.from_teacher(start), optimizers, **tiny.EAGERLY
        )

    whole, broken = make(), make()
    expected = whole.fit(epochs=EPOCHS, **FIT).history
    folder = RunFolder(tmp_path)
    broken.fit(epochs=DONE, callbacks=[folder], **FIT)
    model = load_run(tmp_path)
    assert type(model) is WMGM and model.epochs_trained == DONE
    assert model.averaged and model.details[0].teacher.guidance == 1.5
    tiny.assert_equal(everything(model), everything(broken))
    history = model.fit(initial_epoch=DONE, epochs=EPOCHS, **FIT).history
    assert history.keys() == expected.keys()
    for name, values in history.items():
        np.testing.assert_allclose(
            values, expected[name][DONE:], TOLERANCE, TOLERANCE, err_msg=name
        )
    tiny.assert_equal(everything(model), everything(whole), TOLERANCE)


# Refusals


def not_adapted():
    return WSGM((8, 8, 1), 1, tiny.diffusion(), tiny.diffusion(3, condition=1))


def without_levels():
    return tiny.model(0)


def distilled():
    return WMGM.from_teacher(wsgm())


@pytest.mark.parametrize(
    "make, text",
    [
        (tiny.model, "all `DiffusionFactor`s.*with AdversarialFactor"),
        (tiny.mixed, "all `DiffusionFactor`s.*with AdversarialFactor"),
        (distilled, "all `DiffusionFactor`s.*DistilledFactor, Distilled"),
        (without_levels, "`teacher` must have detail factors.*no details"),
        (not_adapted, "`teacher` must be trained.*has none"),
        (tiny.diffusion, "`teacher` must be a trained `WSGM`"),
        (lambda: "celeba_64_wsgm", "`teacher` must be a trained `WSGM`"),
        (lambda: None, "`teacher` must be a trained `WSGM`"),
    ],
)
def test_what_cannot_teach_is_refused(make, text):
    with pytest.raises(ValueError, match=text) as error:
        WMGM.from_teacher(make())
    assert "Received: " in str(error.value)
