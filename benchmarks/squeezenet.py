"""Features of images by SqueezeNet 1.1, for Fréchet distances."""

import os

import keras
import numpy as np
from keras import ops

SIZE = 128
BGR_MEANS = (103.939, 116.779, 123.68)
FIRES_BEFORE_POOL = (3, 5)


class SqueezeNet:
    """SqueezeNet 1.1 up to its last fire module, averaged over the image.

    Args:
        weights: An npz file with `conv1_kernel`, `conv1_bias`,
            `fire2_squeeze1x1_kernel`, ...: the ImageNet weights of Iandola et
            al. ([arXiv:1602.07360](https://arxiv.org/abs/1602.07360)).
    """

    def __init__(self, weights: str | os.PathLike):
        with np.load(weights) as arrays:
            self.weights = dict(arrays)

    def __call__(self, images: np.ndarray, batch_size: int = 64) -> np.ndarray:
        """Return features, `(num_images, 512)`, of uint8 RGB images."""
        batches = range(0, len(images), batch_size)
        parts = [self._features(images[i : i + batch_size]) for i in batches]
        return np.concatenate(parts).astype("float64")

    def _features(self, images):
        x = images[..., ::-1].astype("float32")
        if x.shape[1] != SIZE:
            x = ops.image.resize(x, (SIZE, SIZE), "bilinear")
        x = x - np.asarray(BGR_MEANS, "float32")
        x = _pool(self._conv(x, "conv1", strides=2))
        for i in range(2, 10):
            x = self._fire(x, i)
            if i in FIRES_BEFORE_POOL:
                x = _pool(x)
        return ops.convert_to_numpy(ops.mean(x, axis=(1, 2)))

    def _fire(self, x, i):
        x = self._conv(x, f"fire{i}_squeeze1x1")
        one = self._conv(x, f"fire{i}_expand1x1")
        three = self._conv(x, f"fire{i}_expand3x3", padding="same")
        return ops.concatenate([one, three], axis=-1)

    def _conv(self, x, name, strides=1, padding="valid"):
        kernel = self.weights[f"{name}_kernel"]
        y = ops.conv(x, kernel, strides, padding, "channels_last")
        return ops.relu(y + self.weights[f"{name}_bias"])


def _pool(x):
    return ops.max_pool(x, 3, 2, "valid", data_format="channels_last")


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Return the Fréchet distance of two Gaussians fitted to features.

    Reference:
        Heusel et al., "GANs Trained by a Two Time-Scale Update Rule", section
        3 ([arXiv:1706.08500](https://arxiv.org/abs/1706.08500)).
    """
    mean = ((a.mean(0) - b.mean(0)) ** 2).sum()
    cov_a, cov_b = np.cov(a.T), np.cov(b.T)
    # The trace of a square root is the sum of the roots of the eigenvalues.
    eigenvalues = np.linalg.eigvals(cov_a @ cov_b).real
    root = np.sqrt(np.maximum(eigenvalues, 0)).sum()
    return float(mean + np.trace(cov_a) + np.trace(cov_b) - 2 * root)


def precision_recall(
    real: np.ndarray, drawn: np.ndarray, k: int = 3, limit: int = 2000
) -> tuple[float, float]:
    """Return the fraction of each set that lies within the other.

    A set's extent is the union of balls around its features, each as large as
    the distance to the k-th neighbour.

    Reference:
        Kynkäänniemi et al., "Improved Precision and Recall Metric for
        Assessing Generative Models", section 2
        ([arXiv:1904.06991](https://arxiv.org/abs/1904.06991)).
    """
    real, drawn = _some(real, limit), _some(drawn, limit)
    between = _distances(real, drawn)
    radius = {
        id(x): np.partition(_distances(x, x), k, axis=1)[:, k]
        for x in (real, drawn)
    }
    precision = (between <= radius[id(real)][:, None]).any(0).mean()
    recall = (between <= radius[id(drawn)][None]).any(1).mean()
    return float(precision), float(recall)


def novelty(real: np.ndarray, drawn: np.ndarray, held_out: np.ndarray) -> float:
    """Return how far drawn images are from the nearest training image.

    Relative to held-out photographs: 1 is as new as those, 0 is a copy.
    """
    near = [_distances(x, real).min(axis=1).mean() for x in (drawn, held_out)]
    return float(near[0] / near[1])


def _some(features, limit):
    order = np.random.default_rng(0).permutation(len(features))
    return features[order[:limit]]


def _distances(a, b):
    squares = (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T
    return np.sqrt(np.maximum(squares, 0))


def describe() -> str:
    """Return what computed: backend and machine, in words."""
    return f"{keras.backend.backend()}, {os.cpu_count()} CPU cores"
