import math

import keras
import pytest

from keras_wmgm import networks
from tests.helpers import run_examples


@pytest.mark.once
@pytest.mark.parametrize(
    "name, count, tolerance",
    [
        ("DetailUNet", 36_471_600, 0),
        ("DetailCritic", 42_632_257, 0),
        ("ScoreUNet", 52_550_000, 100_000),
    ],
)
def test_documented_arguments_give_the_papers_parameters(
    name, count, tolerance
):
    # The last example of each docstring is the paper's network.
    # The scope spares us their initial values.
    with keras.StatelessScope(initialize_variables=False):
        network = run_examples(getattr(networks, name))["net"]
    shapes = [v.shape for v in network.trainable_variables]
    assert abs(sum(map(math.prod, shapes)) - count) <= tolerance
