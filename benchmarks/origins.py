"""Where a preset's Fréchet distance comes from, factor by factor.

    python -m benchmarks.origins --preset clothing_64 \
        --data clothing128.zip --features squeezenet_v1.1_imagenet_notop.npz

Of some photographs only the coarse band of level k is kept, and the details
upon it are drawn: those of level 1 alone in the first such row, one level more
in each that follows, and all there is in the last. What a row has more than
the one above it, the factor of its level adds. Distances are to the other
photographs; the first row is that of the photographs themselves, which is as
near as so few images come.
"""

from collections.abc import Iterator

import numpy as np

import keras_wmgm
from benchmarks.arguments import preset_parser
from benchmarks.quality import print_rows
from benchmarks.squeezenet import SqueezeNet
from benchmarks.squeezenet import describe
from benchmarks.squeezenet import frechet_distance
from keras_wmgm.utils.images import block_means
from keras_wmgm.utils.images import to_pixels
from keras_wmgm.utils.images import to_uint8


def completed(model, images, levels, num_steps, batch_size=50):
    """Return images with the details of the finest levels drawn anew."""
    noise = model.draw_noise(len(images), seed=0, num_steps=num_steps)
    inputs = {f"detail_{k}": noise[f"detail_{k}"] for k in range(1, levels + 1)}
    inputs["thumbnail"] = block_means(to_pixels(images), 2**levels)
    inference = model.inference_model(num_steps, levels=levels)
    drawn = inference.predict(inputs, batch_size=batch_size, verbose=0)
    return to_uint8(drawn)


def origins(
    model, network, images: np.ndarray, num_images: int, num_steps: int
) -> Iterator[tuple[str, float]]:
    """Yield a name and a distance for every row of the table."""
    images = images[np.random.default_rng(0).permutation(len(images))]
    own, others = images[:num_images], network(images[num_images:])
    yield "photographs", frechet_distance(others, network(own))
    for k in range(1, model.num_levels + 1):
        drawn = network(completed(model, own, k, num_steps))
        what = "details of level 1" if k == 1 else f"and of level {k}"
        yield f"{what} drawn", frechet_distance(others, drawn)
    drawn = model.generate(
        num_images, num_steps, batch_size=50, seed=0, verbose=0
    )
    yield "and the coarse band", frechet_distance(others, network(drawn))


def main(argv=None):
    parser = preset_parser(__doc__, num_images=500)
    parser.add_argument("--features", required=True)
    arguments = parser.parse_args(argv)

    model = keras_wmgm.from_preset(arguments.preset)
    size = model.image_shape[:2]
    images = keras_wmgm.data.load_images(f"{arguments.data}:train", size)
    if not arguments.num_images < len(images):
        parser.error(
            f"--num-images must leave some of {len(images)} photographs to "
            f"compare with. Received: {arguments.num_images}"
        )
    print(
        f"{arguments.preset}, {arguments.num_images} of {len(images)} "
        f"photographs, {arguments.num_steps} steps, {describe()}"
    )
    print("| | FD-SqueezeNet |\n|---|---|")
    network = SqueezeNet(arguments.features)
    print_rows(
        origins(
            model, network, images, arguments.num_images, arguments.num_steps
        )
    )


if __name__ == "__main__":
    main()
