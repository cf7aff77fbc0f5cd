"""How good a preset's images are: Fréchet distances, and their yardsticks.

    python -m benchmarks.quality --preset clothing_64 \
        --data clothing128.zip --features squeezenet_v1.1_imagenet_notop.npz

`--data` holds train/ and test/; `--features` are SqueezeNet 1.1's ImageNet
weights as an npz file. The first rows say what a distance means: that of one
half of the photographs to the other, and of photographs of which only the
coarse band of level k is left, enlarged again bicubically. Where a distance
comes from is asked of `benchmarks.origins`.
"""

import time

import numpy as np
from PIL import Image

import keras_wmgm
from benchmarks.arguments import distance_parser
from benchmarks.photographs import Photographs
from benchmarks.squeezenet import describe
from benchmarks.squeezenet import frechet_distance
from keras_wmgm.utils.images import block_means


def coarse_only(images, level):
    """Return images of which only `x_L^level` is left, enlarged again."""
    size = images.shape[1]
    small = np.rint(block_means(images, 2**level)).astype("uint8")
    return np.stack(
        [
            np.asarray(Image.fromarray(x).resize((size, size), Image.BICUBIC))
            for x in small
        ]
    )


def yardsticks(network, images, features, levels):
    """Yield rows of what a distance means.

    Args:
        network: From images to features.
        images: The photographs.
        features: Theirs.
        levels: The number of levels to lose.
    """
    order = np.random.default_rng(0).permutation(len(features))
    halves = np.array_split(features[order], 2)
    yield "one half of the photographs to the other", frechet_distance(*halves)
    for level in range(1, levels + 1):
        blurred = network(coarse_only(images, level))
        distance = frechet_distance(features, blurred)
        yield f"photographs, coarse band {level} only", distance


def draw(model, arguments):
    """Return images and the seconds they took, compilation left out."""
    names = ("num_steps", "sampler", "batch_size")
    options = {name: getattr(arguments, name) for name in names}
    model.generate(arguments.batch_size, **options, seed=0, verbose=0)
    began = time.perf_counter()
    images = model.generate(arguments.num_images, **options, seed=0, verbose=0)
    return images, time.perf_counter() - began


def print_rows(rows):
    for name, distance in rows:
        print(f"| {name} | {distance:,.0f} |", flush=True)


def main(argv=None):
    parser = distance_parser(__doc__, num_images=2000)
    parser.add_argument("--yardsticks", type=int, default=3, metavar="LEVELS")
    parser.add_argument("--save", metavar="FILE.npy", help="keep the images")
    arguments = parser.parse_args(argv)

    model = keras_wmgm.from_preset(arguments.preset)
    size = model.image_shape[:2]
    photographs = Photographs(arguments.data, size, arguments.features)
    network, images = photographs.network, photographs.images
    print(f"{arguments.preset}, {len(images)} training images, {describe()}")
    print("| | FD-SqueezeNet |\n|---|---|")
    print_rows(
        yardsticks(network, images, photographs.real, arguments.yardsticks)
    )
    drawn, seconds = draw(model, arguments)
    if arguments.save:
        np.save(arguments.save, drawn)
    near = photographs.compare(drawn)
    calls = model.network_calls(arguments.num_steps)
    what = (
        f"{len(drawn)} images, {arguments.num_steps} steps of "
        f"{arguments.sampler}, {calls} network calls each"
    )
    print_rows([(what, near.distance)])
    print(
        f"\nprecision {near.precision:.2f}, recall {near.recall:.2f}, "
        f"novelty {near.novelty:.2f}, "
        f"{100 * seconds / len(drawn):.1f} s per 100 images"
    )


if __name__ == "__main__":
    main()
