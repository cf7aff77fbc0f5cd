import numpy as np
import pytest

from benchmarks import guidance
from tests.helpers import fill
from tests.models import tiny
from tests.models.test_guides import guided


def filled(strength):
    model = guided(strength)
    model.adapt(tiny.IMAGES)
    for i, network in enumerate(model.networks.values()):
        fill(network, offset=9 * i)
    return model


def test_strengths_are_set_by_name():
    factors = guidance.guided(guided())
    assert list(factors) == ["coarse", "detail_2"]
    both = {"coarse": 1.0, "detail_2": 1.0}
    assert guidance.strengths("all=1", factors) == both
    assert guidance.strengths("detail_2=1.3", factors) == {"detail_2": 1.3}
    mixed = guidance.strengths("all=1,coarse=2", factors)
    assert mixed == {"coarse": 2.0, "detail_2": 1.0}
    with pytest.raises(ValueError, match="one of coarse, detail_2. Received"):
        guidance.strengths("detail_1=2", factors)


def test_a_twin_draws_as_strongly_as_is_said_and_the_model_as_before():
    model, options = filled(1.5), {"num_steps": 3, "seed": 0, "verbose": 0}
    before = model.generate(2, **options)
    twin = guidance.with_guidance(model, {"coarse": 2.0, "detail_2": 2.0})
    drawn = twin.generate(2, **options)
    np.testing.assert_array_equal(filled(2.0).generate(2, **options), drawn)
    assert np.any(drawn != before)
    np.testing.assert_array_equal(model.generate(2, **options), before)


def test_ratios_of_spreads_are_by_level():
    model, images = filled(1.5), tiny.PIXELS
    ratios = guidance.std_ratios(model, images, images)
    np.testing.assert_allclose(ratios, 1, 1e-5)
    half = 127.5 + (images - images.mean(axis=(1, 2), keepdims=True)) / 2
    ratios = guidance.std_ratios(model, half.astype("uint8"), images)
    np.testing.assert_allclose(ratios, 0.5, 0.02)
