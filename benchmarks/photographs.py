"""Photographs of a zip file, and how near drawn images come to them."""

from dataclasses import dataclass

import numpy as np

import keras_wmgm
from benchmarks.squeezenet import SqueezeNet
from benchmarks.squeezenet import frechet_distance
from benchmarks.squeezenet import novelty
from benchmarks.squeezenet import precision_recall


@dataclass
class Nearness:
    """Four figures in features of SqueezeNet, for a set of images."""

    distance: float
    precision: float
    recall: float
    novelty: float


class Photographs:
    """The photographs of train/ and test/, and their features.

    Args:
        data: A zip file.
        size: Height and width.
        features: SqueezeNet's weights, an npz file.
    """

    def __init__(self, data: str, size: tuple[int, int], features: str):
        self.images, self.held_out = load_splits(data, size)
        self.network = SqueezeNet(features)
        self.real, self.test = map(self.network, (self.images, self.held_out))

    def compare(self, images: np.ndarray) -> Nearness:
        """Return how near images come to the training photographs."""
        drawn = self.network(images)
        return Nearness(
            frechet_distance(self.real, drawn),
            *precision_recall(self.real, drawn),
            novelty(self.real, drawn, self.test),
        )


def load_splits(data: str, size: tuple[int, int]) -> list[np.ndarray]:
    """Return the photographs of train/ and those of test/."""
    return [
        keras_wmgm.data.load_images(f"{data}:{split}", size)
        for split in ("train", "test")
    ]
