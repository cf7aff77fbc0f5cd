import numpy as np
import pytest

from benchmarks import guidance
from tests.models import tiny
from tests.models.test_guides import filled
from tests.models.test_guides import guided


def test_values_are_set_by_name():
    factors = guidance.guided(guided())
    assert list(factors) == ["coarse", "detail_2"]
    both = {"coarse": 1.0, "detail_2": 1.0}
    assert guidance.values("all=1", factors) == both
    assert guidance.values("detail_2=1.3", factors) == {"detail_2": 1.3}
    mixed = guidance.values("all=1,coarse=2", factors)
    assert mixed == {"coarse": 2.0, "detail_2": 1.0}
    with pytest.raises(ValueError, match="one of coarse, detail_2. Received"):
        guidance.values("detail_1=2", factors)
    # Temperatures are for factors without a guide, too, and not for GANs.
    assert list(guidance.diffusions(tiny.mixed())) == ["coarse", "detail_2"]


def test_ratios_of_spreads_are_by_level():
    model, images = filled(1.5), tiny.PIXELS
    ratios = guidance.std_ratios(model, images, images)
    np.testing.assert_allclose(ratios, 1, 1e-5)
    half = 127.5 + (images - images.mean(axis=(1, 2), keepdims=True)) / 2
    ratios = guidance.std_ratios(model, half.astype("uint8"), images)
    np.testing.assert_allclose(ratios, 0.5, 0.02)
