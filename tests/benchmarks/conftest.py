import numpy as np
import pytest

SQUEEZE, EXPAND = (16, 16, 32, 32, 48, 48, 64, 64), (64, 128, 192, 256)


@pytest.fixture(scope="session")
def weights(tmp_path_factory):
    """A file of random weights with the network's own shapes."""
    random, arrays, channels = np.random.default_rng(0), {}, 64

    def conv(name, size, inputs, outputs):
        scale = (2 / (size * size * inputs)) ** 0.5
        kernel = random.normal(0, scale, (size, size, inputs, outputs))
        arrays[f"{name}_kernel"] = kernel.astype("float32")
        arrays[f"{name}_bias"] = np.zeros(outputs, "float32")

    conv("conv1", 3, 3, 64)
    for i, squeeze in enumerate(SQUEEZE, start=2):
        expand = EXPAND[(i - 2) // 2]
        conv(f"fire{i}_squeeze1x1", 1, channels, squeeze)
        conv(f"fire{i}_expand1x1", 1, squeeze, expand)
        conv(f"fire{i}_expand3x3", 3, squeeze, expand)
        channels = 2 * expand
    path = tmp_path_factory.mktemp("features") / "squeezenet.npz"
    np.savez(path, **arrays)
    return path
