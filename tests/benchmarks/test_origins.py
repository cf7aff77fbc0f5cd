import numpy as np

from benchmarks import origins
from keras_wmgm.utils.images import block_means
from tests.models import tiny


def photographs():
    """Half grey, so that no detail has to be made smaller for its range."""
    values = np.random.default_rng(0).integers(64, 192, (12, 8, 8, 1))
    return values.astype("uint8")


def adapted():
    model = tiny.mixed()
    model.adapt(photographs())
    return model


def test_only_the_finest_levels_are_drawn_anew():
    images, model = photographs(), adapted()
    for levels in (1, 2):
        drawn = origins.completed(model, images, levels, num_steps=2)
        kept, own = (block_means(x, 2**levels) for x in (drawn, images))
        assert np.abs(kept - own).max() <= 0.5
        assert np.abs(drawn.astype("int64") - images).max() > 8
    thumbnails = block_means(drawn, 2), block_means(images, 2)
    assert np.abs(thumbnails[0] - thumbnails[1]).max() > 4


def test_a_row_has_what_its_factor_adds():
    """Features that see blocks of 2x2 alone find no fault in level 1."""

    def network(x):
        return block_means(x, 2).reshape(len(x), -1)[:, :4]

    rows = dict(
        origins.origins(adapted(), network, photographs(), 6, num_steps=2)
    )
    assert list(rows) == [
        "photographs",
        "details of level 1 drawn",
        "and of level 2 drawn",
        "and the coarse band",
    ]
    own, first, second, _ = rows.values()
    assert abs(first - own) < 0.02 * own
    assert abs(second - own) > 0.1 * own
