"""What the three networks have in common, and what sets them apart."""

import functools

import numpy as np
import pytest

from keras_wmgm.networks import DetailCritic
from keras_wmgm.networks import DetailUNet
from keras_wmgm.networks import ScoreUNet
from tests.helpers import fill
from tests.helpers import run_layer_test
from tests.helpers import to_numpy
from tests.helpers import wave

# Few shapes, because XLA compiles for each: the stored outputs in tests/golden
# are of networks whose every level differs.
IMAGE = (2, 4, 4, 2)
HALF_TOLERANCE = 0.1  # some thirty roundings, each of up to 0.4 %
SCALE = np.array([1, 3], "float32")
LOG_SNR = np.array([-2.0, 3.0], "float32")


def detail_inputs(shape=IMAGE):
    return {"condition": wave(shape), "noise": wave(shape, 1), "scale": SCALE}


def score_inputs(shape=IMAGE):
    return {
        "x": wave(shape),
        "log_snr": LOG_SNR,
        "condition": wave(shape, 1),
        "scale": SCALE,
    }


FULL = {
    "DetailUNet": (
        functools.partial(
            DetailUNet, 2, num_scales=3, filters=(4, 4), head_filters=4
        ),
        detail_inputs,
    ),
    "DetailCritic": (
        functools.partial(DetailCritic, 2, num_scales=3, filters=(4, 4)),
        lambda shape=IMAGE: {"x": wave(shape), "scale": SCALE},
    ),
    "ScoreUNet": (
        functools.partial(
            ScoreUNet,
            2,
            out_channels=4,
            condition_channels=2,
            num_scales=3,
            filters=(4, 4),
            num_blocks=1,
            normalization="group",
            attention_levels=(1,),
        ),
        score_inputs,
    ),
}
"""Each network with every option, and its inputs at a given size."""


@pytest.fixture(params=FULL)
def full(request):
    return FULL[request.param]


def test_network_is_a_layer(full):
    make, inputs = full
    run_layer_test(make, inputs(), half_tolerance=HALF_TOLERANCE)


@pytest.mark.parametrize(
    "make, inputs",
    [
        (
            functools.partial(
                DetailUNet,
                2,
                noise_channels=0,
                filters=(4, 4),
                normalization="batch",
            ),
            {"condition": wave(IMAGE)},
        ),
        (
            functools.partial(
                DetailCritic,
                2,
                filters=(4, 4),
                units=3,
                normalization="batch",
                dropout=0.3,
            ),
            {"x": wave(IMAGE)},
        ),
        (
            functools.partial(
                ScoreUNet,
                2,
                filters=(4, 4),
                num_blocks=1,
                attention_gates=False,
                normalization="group",
                dropout=0.3,
            ),
            {"x": wave(IMAGE), "log_snr": LOG_SNR},
        ),
        (
            functools.partial(ScoreUNet, 2, filters=(4, 4), normalization=None),
            {"x": wave(IMAGE), "log_snr": LOG_SNR},
        ),
    ],
    ids=["DetailUNet", "DetailCritic", "ScoreUNet", "no normalization"],
)
def test_network_without_its_options_is_a_layer(make, inputs):
    run_layer_test(make, inputs, half_tolerance=HALF_TOLERANCE)


def test_output_depends_on_every_input(full):
    make, inputs = full
    network, inputs = fill(make()), inputs()
    before = to_numpy(network(inputs))
    for name, x in inputs.items():
        after = to_numpy(network({**inputs, name: x[::-1].copy()}))
        assert np.abs(after - before).max() > 1e-3, name


def test_images_of_a_batch_do_not_meet(full):
    make, inputs = full
    network, inputs = fill(make()), inputs()
    both = to_numpy(network(inputs))
    other = {name: np.stack([x[0], -x[1]]) for name, x in inputs.items()}
    np.testing.assert_allclose(to_numpy(network(other))[0], both[0], 0, 1e-5)


def test_one_network_takes_two_sizes(full):
    make, inputs = full
    network = fill(make())
    small, large = inputs(), inputs((2, 8, 4, 2))
    y, z = to_numpy(network(small)), network.predict(large, verbose=0)
    if y.ndim == 4:
        assert y.shape[1:3] == (4, 4) and z.shape[1:3] == (8, 4)
    assert np.isfinite(z).all() and z.shape[-1] == y.shape[-1]


@pytest.mark.parametrize("name", ["DetailUNet", "ScoreUNet"])
@pytest.mark.parametrize(
    "shape, text",
    [
        (
            (1, 5, 4, 2),
            "height that is a.* of 2.*fit: 4 and 6.*height=5",
        ),
        ((1, 4, 3, 2), "width that is a.* of 2.*fit: 2 and 4.*width=3"),
        ((1, 1, 4, 2), "fit: 2. Received: height=1"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(name, shape, text):
    make, inputs = FULL[name]
    with pytest.raises(ValueError, match=text):
        make()(inputs(shape))


def test_files_that_do_not_name_a_normalization_mean_groups():
    network = ScoreUNet(2, filters=(4, 4))
    config = network.get_config()
    assert config["normalization"] is None
    twin = ScoreUNet.from_config(config)
    assert twin.count_params() == network.count_params()
    del config["normalization"]
    grouped = ScoreUNet(2, filters=(4, 4), normalization="group")
    twin = ScoreUNet.from_config(config)
    assert twin.count_params() == grouped.count_params()
    assert twin.count_params() > network.count_params()


def test_new_score_network_predicts_nothing():
    make, inputs = FULL["ScoreUNet"]
    assert not to_numpy(make()(inputs())).any()


@pytest.mark.parametrize("normalization, reaches", [(None, 0), ("group", 1)])
def test_only_normalization_joins_far_places(normalization, reaches):
    network = ScoreUNet(2, filters=(4,), normalization=normalization)
    network, x = fill(network), wave((1, 2, 32, 2))
    changed = x.copy()
    changed[:, :, 0] += 1
    before, after = (
        to_numpy(network({"x": v, "log_snr": LOG_SNR[:1]}))
        for v in (x, changed)
    )
    far = np.abs(after - before)[:, :, 13:]  # beyond twelve convolutions
    assert np.abs(after - before)[:, :, :12].max() > 1e-3
    assert (far.max() > 1e-5) == bool(reaches)


def test_close_levels_are_told_apart_in_bfloat16(mixed_bfloat16):
    make, inputs = FULL["ScoreUNet"]
    # Two like images but for a level that bfloat16 would round to one number.
    inputs = {name: np.stack([x[0], x[0]]) for name, x in inputs().items()}
    inputs["log_snr"] = np.array([12.0, 12.03], "float32")
    first, second = fill(make()).predict(inputs, verbose=0).astype("float32")
    assert np.abs(first - second).max() > 0


def test_dropout_of_the_critic_is_at_work_in_training_only():
    critic = fill(DetailCritic(2, filters=(4,), dropout=0.5))
    x = {"x": wave(IMAGE)}
    once, again = to_numpy(critic(x)), to_numpy(critic(x))
    np.testing.assert_array_equal(once, again)
    assert not np.allclose(once, to_numpy(critic(x, training=True)))


def test_global_policy_is_read_when_a_network_is_read_back(mixed_bfloat16):
    network = DetailCritic(2, filters=(4,))
    assert network.get_config()["dtype"] is None
    twin = DetailCritic.from_config(network.get_config())
    assert twin.output.dtype == "bfloat16"
