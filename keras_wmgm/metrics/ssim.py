"""The structural similarity of two images."""

import numpy as np
from keras import ops

from keras_wmgm.types import Tensor

WINDOW, SIGMA = 11, 1.5
K_1, K_2 = 0.01, 0.03


def ssim(x: Tensor, y: Tensor, data_range: float = 2.0) -> Tensor:
    """Return the structural similarity of each pair of images.

    Gaussian window of 11x11 pixels and sigma 1.5, K1 = 0.01, K2 = 0.03, mean
    over the positions at which the window fits and over the channels. Smaller
    images get the largest window of odd size that fits.

    Args:
        x: Images, `(batch, height, width, channels)`.
        y: Images of the same shape.
        data_range: Largest possible minus smallest possible value; 2 for
            pixels in [-1, 1].

    Returns:
        The similarity, `(batch,)`, in [-1, 1]; 1 for equal images.

    Example:

    >>> x = np.random.default_rng(0).uniform(-1, 1, (2, 16, 16, 3))
    >>> [round(float(value), 4) for value in keras_wmgm.metrics.ssim(x, x)]
    [1.0, 1.0]

    Reference:
        Wang et al., "Image quality assessment: from error visibility to
        structural similarity", IEEE TIP 13(4), 2004; the term of WMGM, Eq. 21
        ([arXiv:2411.09356](https://arxiv.org/abs/2411.09356)).
    """
    x, y = ops.cast(x, "float32"), ops.cast(y, "float32")
    kernel = _window(x.shape)
    channels = x.shape[-1]

    def mean(image):
        return ops.depthwise_conv(
            image, kernel, padding="valid", data_format="channels_last"
        )

    # One convolution of five images side by side instead of five.
    stacked = ops.concatenate([x, y, x * x, y * y, x * y], axis=-1)
    kernel = ops.convert_to_tensor(np.tile(kernel, (1, 1, 5 * channels, 1)))
    m_x, m_y, m_xx, m_yy, m_xy = ops.split(mean(stacked), 5, axis=-1)
    c_1, c_2 = (K_1 * data_range) ** 2, (K_2 * data_range) ** 2
    luminance = (2 * m_x * m_y + c_1) / (m_x**2 + m_y**2 + c_1)
    spread = m_xx - m_x**2 + m_yy - m_y**2
    structure = (2 * (m_xy - m_x * m_y) + c_2) / (spread + c_2)
    return ops.mean(luminance * structure, axis=(1, 2, 3))


def _window(shape) -> np.ndarray:
    """Return the Gaussian window that fits, `(size, size, 1, 1)`."""
    smallest = min(size for size in (*shape[1:3], WINDOW) if size)
    size = smallest - (smallest + 1) % 2
    offsets = np.arange(size) - size // 2
    profile = np.exp(-(offsets**2) / (2 * SIGMA**2))
    profile = (profile / profile.sum()).astype("float32")
    return np.outer(profile, profile)[:, :, None, None]
