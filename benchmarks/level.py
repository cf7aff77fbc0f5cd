"""The details of one level of some photographs, to compare drawn ones with."""

import numpy as np
from keras import ops

from benchmarks.scales import band_stds
from benchmarks.scales import whitened
from benchmarks.squeezenet import frechet_distance
from keras_wmgm.utils.images import to_uint8

CHUNK = 100
"""Images that are put together at once."""


class Level:
    """Bands of photographs at one level, and features of what they make.

    Args:
        model: A `MultiscaleModel` with band statistics.
        k: The level.
        images: The photographs, uint8.
        network: What features are of, a function of uint8 images.
    """

    def __init__(self, model, k, images, network):
        self.model, self.k, self.network = model, k, network
        self.details, self.conditions = self.bands(images)
        self.real = network(self.completed(self.conditions, self.details))

    def bands(self, images):
        """Return whitened details and conditions of uint8 images."""
        details, conditions = whitened(self.model, images)
        return details[self.k - 1], conditions[self.k - 1]

    def completed(self, conditions, details):
        """Return uint8 images of level k - 1 from whitened bands."""
        parts = [
            self.model.pyramid.reconstruct(c, d, self.k)
            for c, d in zip(chunks(conditions), chunks(details), strict=True)
        ]
        pixels = np.concatenate([ops.convert_to_numpy(part) for part in parts])
        return to_uint8(pixels)

    def compare(self, conditions, drawn):
        """Return FD to the photographs, and ratios of spreads."""
        count = len(drawn)
        features = self.network(self.completed(conditions[:count], drawn))
        ratios = band_stds(drawn) / band_stds(self.details[:count])
        return frechet_distance(self.real, features), ratios


def chunks(values):
    return [values[i : i + CHUNK] for i in range(0, len(values), CHUNK)]
