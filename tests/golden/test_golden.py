import numpy as np
import pytest

from tests.golden.make import CASES
from tests.golden.make import PATH
from tests.golden.make import compute


@pytest.mark.parametrize("name", CASES)
def test_output_is_the_stored_one(name):
    with np.load(PATH) as stored:
        expected = stored[name]
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(compute(CASES[name]), expected, 0, 1e-5)
