"""How good a preset's images are: Fréchet distances, and their yardsticks.

    python -m benchmarks.quality --preset clothing_64 \
        --data clothing128.zip --features squeezenet_v1.1_imagenet_notop.npz

`--data` holds train/ and test/; `--features` are SqueezeNet 1.1's ImageNet
weights as an npz file. The first rows say what a distance means: that of one
half of the photographs to the other, and of photographs of which only the
coarse band of level k is left, enlarged again bicubically. The last say where
a distance comes from: the same of the preset's images, to photographs of which
as little is left.
"""

import argparse
import time

import numpy as np
from PIL import Image

import keras_wmgm
from benchmarks.squeezenet import SqueezeNet
from benchmarks.squeezenet import describe
from benchmarks.squeezenet import frechet_distance
from benchmarks.squeezenet import novelty
from benchmarks.squeezenet import precision_recall


def coarse_only(images, level):
    """Return images of which only `x_L^level` is left, enlarged again."""
    size = images.shape[1]
    blocks = size >> level, 2**level
    shape = (len(images), blocks[0], blocks[1], blocks[0], blocks[1], 3)
    means = images.reshape(shape).mean(axis=(2, 4))
    small = np.rint(means).astype("uint8")
    return np.stack(
        [
            np.asarray(Image.fromarray(x).resize((size, size), Image.BICUBIC))
            for x in small
        ]
    )


def yardsticks(features, blurred):
    """Yield rows of what a distance means.

    Args:
        features: Those of the photographs.
        blurred: Those of what `coarse_only` leaves of them, by level.
    """
    order = np.random.default_rng(0).permutation(len(features))
    halves = np.array_split(features[order], 2)
    yield "one half of the photographs to the other", frechet_distance(*halves)
    for level, own in blurred.items():
        distance = frechet_distance(features, own)
        yield f"photographs, coarse band {level} only", distance


def origins(network, blurred, drawn):
    """Yield rows of where the distance of drawn images comes from."""
    for level, real in blurred.items():
        distance = frechet_distance(real, network(coarse_only(drawn, level)))
        yield f"both, coarse band {level} only", distance


def draw(model, arguments):
    """Return images and the seconds they took, compilation left out."""
    options = {"num_steps": arguments.num_steps, "seed": 0, "verbose": 0}
    model.generate(
        arguments.batch_size, batch_size=arguments.batch_size, **options
    )
    began = time.perf_counter()
    images = model.generate(
        arguments.num_images, batch_size=arguments.batch_size, **options
    )
    return images, time.perf_counter() - began


def print_rows(rows):
    for name, distance in rows:
        print(f"| {name} | {distance:,.0f} |", flush=True)


def main(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--preset", default=keras_wmgm.DEFAULT_PRESET)
    parser.add_argument("--data", required=True)
    parser.add_argument("--features", required=True)
    parser.add_argument("--num-images", type=int, default=2000)
    parser.add_argument("--num-steps", type=int, default=8)
    parser.add_argument("--batch-size", type=int, default=50)
    parser.add_argument("--yardsticks", type=int, default=3, metavar="LEVELS")
    parser.add_argument("--save", metavar="FILE.npy", help="keep the images")
    arguments = parser.parse_args(argv)

    model = keras_wmgm.from_preset(arguments.preset)
    size = model.image_shape[:2]
    images = keras_wmgm.data.load_images(f"{arguments.data}:train", size)
    held_out = keras_wmgm.data.load_images(f"{arguments.data}:test", size)
    network = SqueezeNet(arguments.features)
    real, test = network(images), network(held_out)
    print(f"{arguments.preset}, {len(images)} training images, {describe()}")
    print("| | FD-SqueezeNet |\n|---|---|")
    blurred = {
        level: network(coarse_only(images, level))
        for level in range(1, arguments.yardsticks + 1)
    }
    print_rows(yardsticks(real, blurred))
    drawn_images, seconds = draw(model, arguments)
    if arguments.save:
        np.save(arguments.save, drawn_images)
    drawn = network(drawn_images)
    precision, recall = precision_recall(real, drawn)
    calls = model.network_calls(arguments.num_steps)
    print(
        f"| {len(drawn)} images, {arguments.num_steps} steps, {calls} network "
        f"calls each | {frechet_distance(real, drawn):,.0f} |"
    )
    print_rows(origins(network, blurred, drawn_images))
    print(
        f"\nprecision {precision:.2f}, recall {recall:.2f}, "
        f"novelty {novelty(real, drawn, test):.2f}, "
        f"{100 * seconds / len(drawn):.1f} s per 100 images"
    )


if __name__ == "__main__":
    main()
