"""Write a factor of your own: details of photographs are Laplacian.

    python examples/custom_factor.py photos/ --output laplace

A model here is a product of factors, p(x) = p(x_L^S) prod_k p(x_H^k | x_L^k),
and a factor is anything that can be learned and drawn. This one says

    h | c ~ Laplace(m(c), b(c)),    L = mean |h - m| / b + log 2b,

with the mean m and the width b of every value out of one network: wavelet
coefficients are mostly small and seldom large. One call draws a band, each
value of it alone, so texture becomes grain.
"""

import argparse
from pathlib import Path

import keras
from keras import layers
from keras import ops

import keras_wmgm
from keras_wmgm import factors
from keras_wmgm.data import image_grid
from keras_wmgm.data import save_image

NARROWEST = 1e-3  # in units of the band's standard deviation


@keras.saving.register_keras_serializable(package="examples")
class LaplaceFactor(factors.Factor):
    """A Laplace law of each detail value, given the coarse band.

    Args:
        network: A model of `{"condition": coarse band}` with twice as many
            channels as the details have: means, and what becomes widths.
        **kwargs: `Factor`'s, `condition_noise` for one.
    """

    def __init__(self, network, **kwargs):
        super().__init__(**kwargs)
        self.network = network

    @property
    def networks(self):
        return {"draw": self.network}

    def check_band(self, channels, condition, k):
        made_for = self.network.output.shape[-1]
        if made_for != 2 * channels:
            raise ValueError(
                f"The network needs {2 * channels} channels in its output to "
                f"serve this band. Received: {made_for}"
            )

    def loss(self, target, condition, k, reconstruct, seed, training=True):
        """The negative log-likelihood of a value, in nats."""
        condition = self.corrupt(condition, seed, training)
        mean, width = self.law(condition, training)
        loss = ops.mean(ops.abs(target - mean) / width + ops.log(2 * width))
        # The variance of a Laplace law is 2 b^2.
        drawn, real = mean**2 + 2 * width**2, target**2
        ratio = ops.sqrt(ops.mean(drawn) / ops.mean(real))
        return factors.FactorLoss({"draw": loss}, ops.stop_gradient(ratio))

    def law(self, condition, training=False):
        output = self.network({"condition": condition}, training=training)
        mean, width = ops.split(ops.cast(output, "float32"), 2, axis=-1)
        return mean, ops.softplus(width) + NARROWEST

    def noise_shapes(self, shape):
        height, width, channels = shape
        return {"start": (height, width, 4 * channels)}

    def sample(self, noise, condition, k):
        # Noise is always standard normal. Half the sum of two squares of it
        # is exponential, and the difference of two such is Laplacian.
        a, b, c, d = ops.split(noise["start"], 4, axis=-1)
        laplace = (a**2 + b**2 - c**2 - d**2) / 2
        mean, width = self.law(condition)
        return mean + width * laplace

    def get_config(self):
        network = keras.saving.serialize_keras_object(self.network)
        return {**super().get_config(), "network": network}

    @classmethod
    def from_config(cls, config):
        network = keras.saving.deserialize_keras_object(config["network"])
        return cls(**{**config, "network": network})


def make_network(channels, filters=32, num_blocks=3):
    condition = keras.Input((None, None, channels), name="condition")
    h = condition
    for _ in range(num_blocks):
        h = keras_wmgm.layers.ResidualBlock(filters)(h)
    # Zero at first: a width of ln 2, about that of a Laplace law of variance 1,
    # which is what a whitened band has.
    head = layers.Conv2D(6 * channels, 1, kernel_initializer="zeros")
    return keras.Model({"condition": condition}, head(h))


def make_model(image_size, num_levels):
    coarse = factors.DiffusionFactor(keras_wmgm.networks.ScoreUNet(3))
    details = [
        LaplaceFactor(make_network(3), condition_noise=0.1)
        for _ in range(num_levels)
    ]
    shape = (image_size, image_size, 3)
    return keras_wmgm.MultiscaleModel(shape, num_levels, coarse, details)


CUSTOM_OBJECTS = {"examples>LaplaceFactor": LaplaceFactor}


def parse(argv):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    add = parser.add_argument
    add("data", help="a folder or a zip file of photographs")
    add("--image-size", type=int, default=64)
    add("--num-levels", type=int, default=3)
    add("--epochs", type=int, default=100)
    add("--output", type=Path, default="laplace", help="a folder")
    return parser.parse_args(argv)


def main(argv=None):
    args = parse(argv)
    images = keras_wmgm.data.image_folder(args.data, args.image_size)
    model = make_model(args.image_size, args.num_levels)
    model.compile(keras.optimizers.Adam(1e-3, use_ema=True))
    model.fit(images, epochs=args.epochs)
    model.save_to_preset(args.output / "preset")
    # A preset is data: classes of one's own are handed in.
    own = {"custom_objects": CUSTOM_OBJECTS}
    model = keras_wmgm.from_preset(args.output / "preset", **own)
    samples = model.generate(16, num_steps=8, seed=0, verbose=0)
    save_image(image_grid(samples), args.output / "samples.png")
    print(args.output / "samples.png")


if __name__ == "__main__":
    main()
