"""Per level, on held-out photographs: is the spread of the details right?

    python -m benchmarks.scales --preset clothing_64 --data clothing128.zip

`std ratio` is the standard deviation of drawn details over that of the
photographs', for each band: drawn upon the photographs' own coarse bands
("real"), and within whole images that were drawn ("drawn"). `r` is
E|f - f'|^2 / E|f - h|^2 for two draws f and f' upon the coarse band of a
photograph with details h: 1 for the true distribution, 0 for a generator that
ignores its noise. 1 is perfect everywhere.
"""

import keras
import numpy as np
from keras import ops

import keras_wmgm
from benchmarks.arguments import preset_parser
from benchmarks.squeezenet import describe
from keras_wmgm.sampling.noise import BandNoise
from keras_wmgm.sampling.noise import draw
from keras_wmgm.sampling.plan import make_plan
from keras_wmgm.utils.untracked import Untracked

BANDS = ("cH", "cV", "cD")
BATCH = 32


def whitened(model, images):
    """Return whitened details and conditions of uint8 images, by level."""
    pixels = images.astype("float32") / 127.5 - 1
    parts = [
        model.pyramid.analyze(pixels[i : i + BATCH])
        for i in range(0, len(pixels), BATCH)
    ]
    return [
        [
            np.concatenate([ops.convert_to_numpy(p[what][k]) for p in parts])
            for k in range(model.num_levels)
        ]
        for what in (1, 2)
    ]


class Drawing(keras.Model):
    """One level's details as a model of noise and condition."""

    def __init__(self, model, k, num_steps):
        super().__init__(dtype="float32")
        plan = make_plan(
            model.coarse, model.details, num_steps, "dpm_solver_2m"
        )
        band = next(band for band in plan if band.level == k)
        self.networks = list(band.factor.drawing())
        self.parts = Untracked(band=band)

    def call(self, inputs):
        noise, band = {"start": inputs["start"]}, self.parts.band
        return band.factor.sample(
            noise, inputs["condition"], band.level, **band.arguments
        )

    def draw(self, condition, seed):
        """Return details upon whitened coarse bands."""
        band, (count, height, width, channels) = (
            self.parts.band,
            condition.shape,
        )
        shape = (height, width, 3 * channels)
        shapes = band.factor.noise_shapes(shape, **band.arguments)
        noise = draw(
            [BandNoise("start", band.level, shapes)], seed, range(count)
        )
        inputs = {**noise, "condition": condition}
        return self.predict(inputs, batch_size=BATCH, verbose=0)


def band_stds(details):
    """Return the standard deviation of each band, over all channels."""
    bands = np.split(details, 3, axis=-1)
    return np.array([band.std() for band in bands])


def rows(model, held_out, drawn, num_steps):
    """Yield level, ratios upon real and in drawn images, and r."""
    details, conditions = whitened(model, held_out)
    own, _ = whitened(model, drawn)
    for k in range(1, model.num_levels + 1):
        h, condition = details[k - 1], conditions[k - 1]
        drawing = Drawing(model, k, num_steps)
        f, g = (drawing.draw(condition, seed) for seed in (1, 2))
        spread = np.mean((f - g) ** 2) / np.mean((f - h) ** 2)
        real = band_stds(h)
        yield k, band_stds(f) / real, band_stds(own[k - 1]) / real, spread


def main(argv=None):
    arguments = preset_parser(__doc__, num_images=512).parse_args(argv)

    model = keras_wmgm.from_preset(arguments.preset)
    size = model.image_shape[:2]
    held_out = keras_wmgm.data.load_images(f"{arguments.data}:test", size)
    drawn = model.generate(
        arguments.num_images, arguments.num_steps, seed=0, verbose=0
    )
    print(
        f"{arguments.preset}, {len(held_out)} photographs, {len(drawn)} drawn, "
        f"{arguments.num_steps} steps, {describe()}\n"
    )
    print("| level | band | std ratio, real | std ratio, drawn | r |")
    print("|---|---|---|---|---|")
    for k, real, own, r in rows(model, held_out, drawn, arguments.num_steps):
        for i, band in enumerate(BANDS):
            last = f"{r:.2f}" if i == 0 else ""
            print(f"| {k} | {band} | {real[i]:.2f} | {own[i]:.2f} | {last} |")


if __name__ == "__main__":
    main()
