"""What is refused, and in which words."""

import re
from functools import partial

import numpy as np
import pytest

from keras_wmgm import diffusion
from keras_wmgm import layers
from keras_wmgm import networks
from keras_wmgm.models import WaveletPyramid

COUNTS = [
    (layers.AttentionGate, {}, "filters"),
    (layers.ResidualBlock, {}, "filters"),
    (layers.ResidualBlock, {"filters": 4}, "mid_filters"),
    (layers.ResidualBlock, {"filters": 4}, "strides"),
    (layers.SelfAttention2D, {}, "num_heads"),
    (layers.TimeEmbedding, {}, "units"),
    (layers.TimeEmbedding, {"units": 8}, "num_frequencies"),
    (layers.ScaleEmbedding, {"units": 8}, "num_scales"),
    (layers.ScaleEmbedding, {"num_scales": 2}, "units"),
    (networks.DetailUNet, {}, "channels"),
    (networks.DetailUNet, {"channels": 3}, "num_scales"),
    (networks.DetailUNet, {"channels": 3}, "head_filters"),
    (networks.DetailCritic, {}, "channels"),
    (networks.DetailCritic, {"channels": 3}, "num_scales"),
    (networks.DetailCritic, {"channels": 3}, "units"),
    (networks.ScoreUNet, {}, "channels"),
    (networks.ScoreUNet, {"channels": 3}, "out_channels"),
    (networks.ScoreUNet, {"channels": 3}, "num_scales"),
    (networks.ScoreUNet, {"channels": 3}, "num_blocks"),
    (networks.ScoreUNet, {"channels": 3}, "num_heads"),
    (diffusion.uniform_grid, {}, "num_steps"),
    (diffusion.quadratic_grid, {}, "num_steps"),
    (diffusion.log_snr_grid, {}, "num_steps"),
    (diffusion.karras_grid, {}, "num_steps"),
]
"""What makes it, with which other arguments, and the count to be refused."""


def refused(make, text):
    """Check that `make` is refused in these words, and tells what it got."""
    with pytest.raises(ValueError, match=text) as error:
        make()
    assert re.search(r"Received: [^\n]+$", str(error.value))


@pytest.mark.parametrize("value", [0, -3, 1.5, "4", True])
@pytest.mark.parametrize(
    "make, others, name", COUNTS, ids=lambda x: getattr(x, "__name__", str(x))
)
def test_counts_are_whole_and_positive(make, others, name, value):
    text = f"`{name}` must be a whole number of at least 1. Received: {name}="
    refused(partial(make, **others, **{name: value}), text + repr(value))


@pytest.mark.parametrize(
    "make, name",
    [
        (partial(networks.DetailUNet, 3), "noise_channels"),
        (partial(networks.ScoreUNet, 3), "condition_channels"),
        (partial(WaveletPyramid, (8, 8, 3)), "num_levels"),
    ],
)
def test_counts_that_may_be_zero_are_not_negative(make, name):
    text = f"`{name}` must be a whole number of at least 0. Received: {name}=-1"
    refused(partial(make, **{name: -1}), text)


@pytest.mark.parametrize(
    "make",
    [
        partial(layers.AttentionGate, 4),
        partial(layers.ResidualBlock, 4),
        partial(networks.DetailUNet, 3),
        partial(networks.DetailCritic, 3),
    ],
)
@pytest.mark.parametrize(
    "value, hint",
    [
        ("grupo", " Did you mean 'group'?"),
        ("batches", " Did you mean 'batch'?"),
        ("xyz", ""),
        (1, ""),
    ],
)
def test_unknown_normalizations_are_refused(make, value, hint):
    text = "`normalization` must be one of 'group', 'batch', None."
    text += f"{hint} Received: normalization={value!r}"
    refused(partial(make, normalization=value), re.escape(text))


@pytest.mark.parametrize(
    "make",
    [
        partial(layers.ResidualBlock, 4),
        partial(networks.DetailCritic, 3),
        partial(networks.ScoreUNet, 3),
    ],
)
@pytest.mark.parametrize("value", [1, 1.0, -0.1, "0.1", None, float("nan")])
def test_rates_are_below_one(make, value):
    text = rf"`dropout` must be a number in \[0, 1\). Received: dropout={value}"
    if isinstance(value, str):
        text = text.replace(value, repr(value))
    refused(partial(make, dropout=value), text)


@pytest.mark.parametrize(
    "make",
    [networks.DetailUNet, networks.DetailCritic, networks.ScoreUNet],
)
@pytest.mark.parametrize(
    "filters, text",
    [
        ((), r"at least 1 entries. Received: filters=\(\)"),
        ((8, 0), "whole number of at least 1. Received: filters=0"),
        (8, "sequence of whole numbers. Received: filters=8"),
        ("8", "sequence of whole numbers. Received: filters='8'"),
        ((8, 8.5), "Received: filters=8.5"),
    ],
)
def test_lists_of_counts_are_checked(make, filters, text):
    refused(partial(make, 3, filters=filters), text)


@pytest.mark.parametrize(
    "make, text",
    [
        (
            partial(
                networks.ScoreUNet, 3, filters=(4, 4), attention_levels=(2,)
            ),
            r"number of levels, 2 .*Received: attention_levels=\(2,\)",
        ),
        (
            partial(networks.ScoreUNet, 3, attention_levels=(-1,)),
            "at least 0. Received: attention_levels=-1",
        ),
        (
            partial(
                networks.ScoreUNet,
                3,
                filters=(6, 6),
                attention_levels=(0,),
            ),
            "must divide the channels. Received: num_heads=4, channels=6",
        ),
        (
            partial(layers.HaarDWT2D().compute_output_shape, (1, 5, 4, 1)),
            "multiple of 2.*fit: 4 and 6. Received: height=5 in shape=",
        ),
        (
            partial(
                layers.HaarIWT2D().compute_output_shape,
                ((1, 4, 4, 1), (1, 4, 4, 1)),
            ),
            "Received: coarse.shape=",
        ),
        (
            partial(layers.AttentionGate(4).build, (1, 4, 4, 1), (1, 2, 2, 1)),
            "same height and width. Received: x.shape=",
        ),
        (
            lambda: networks.DetailCritic(3, filters=(4,))(
                {"x": np.ones((1, 0, 4, 3))}
            ),
            "DetailCritic, input 'x', .* Received: height=0",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused(make, text):
    refused(make, text)


@pytest.mark.parametrize("make", diffusion.GRIDS.values())
@pytest.mark.parametrize("t_max", [0.0, -1.0, np.inf, np.nan])
def test_ends_of_grids_are_positive(make, t_max):
    refused(partial(make, 4, t_max), f"t_min < t_max. Received: .*{t_max}")


@pytest.mark.parametrize(
    "grid", [diffusion.log_snr_grid, diffusion.karras_grid]
)
@pytest.mark.parametrize("t_min", [5.0, 7.0, -1e-3, 0.0, np.nan])
def test_grids_with_an_end_end_between_zero_and_their_start(grid, t_min):
    make = partial(grid, 4, 5.0, t_min)
    refused(make, f"t_min < t_max. Received: t_min={t_min}")


@pytest.mark.parametrize("rho", [0.0, -7.0, np.nan])
def test_rho_is_positive(rho):
    make = partial(diffusion.karras_grid, 4, rho=rho)
    refused(make, f"`rho` .*Received: rho={rho}")


@pytest.mark.parametrize("name", diffusion.SAMPLERS)
@pytest.mark.parametrize(
    "grid, text",
    [
        ([1.0, 2.0], "falling sequence"),
        ([2.0, 1.0, 1.0], "falling sequence"),
        ([2.0], "two or more times"),
        ([[2.0, 1.0]], "falling sequence"),
        ([2.0, np.nan], "falling sequence"),
        ([2.0, -1.0], "not negative"),
        ([np.inf, 1.0], "finite"),
    ],
)
def test_grids_fall_to_zero_or_above(name, grid, text):
    sample = diffusion.SAMPLERS[name]
    refused(lambda: sample(lambda x, level: x, np.ones((1, 2)), grid), text)


@pytest.mark.parametrize("first, second", [(None, 1), (1, None)])
def test_a_block_is_called_as_it_was_built(first, second):
    block, x, embedding = layers.ResidualBlock(4), np.ones((1, 4, 4, 4)), {}
    for key in (first, second):
        embedding[key] = [np.ones((1, 8))] if key else []
    block(x, *embedding[first])
    with pytest.raises(ValueError, match="called with.* one. Received: an emb"):
        block(x, *embedding[second])
