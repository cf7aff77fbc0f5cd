"""Reduce photographs, enlarge them again, and look at what came back.

    python examples/upscale.py photos/ --scale 4 --output upscaled.png

A pixel of a small picture is the mean of a block of the large one, and a Haar
pyramid keeps just that: the model takes the small picture for its coarse band
and draws the details anew. So the content is kept, which the first number
shows: the result, reduced again, is the small picture, up to rounding.

The details are drawn, not measured. They are to look right, not to be those
of the original, so bicubic interpolation, which guesses the mean, is mostly
nearer to the original in PSNR while it looks blurred. Give photographs of
what the preset has learned; of other things it has never seen the details.

In the picture, from left to right: the small one, bicubic, ours, the original.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

import keras_wmgm
from keras_wmgm import DEFAULT_PRESET
from keras_wmgm.data import image_grid
from keras_wmgm.data import load_images
from keras_wmgm.data import save_image


def block_means(images, scale):
    """The mean of every `scale` x `scale` block, `scale` times smaller."""
    batch, height, width, channels = images.shape
    size = (batch, height // scale, scale, width // scale, scale, channels)
    return images.reshape(size).mean(axis=(2, 4))


def resize(images, scale, how):
    """Enlarge uint8 images with one of Pillow's filters."""

    def enlarge(image):
        size = (image.shape[1] * scale, image.shape[0] * scale)
        return np.asarray(Image.fromarray(image.squeeze()).resize(size, how))

    height, width, channels = images.shape[1:]
    large = np.stack([enlarge(image) for image in images])
    return large.reshape(-1, scale * height, scale * width, channels)


def psnr(a, b):
    """Peak signal-to-noise ratio in dB of images in [0, 255]."""
    error = np.mean((a.astype("float64") - b) ** 2)
    return 10 * np.log10(255**2 / error) if error else np.inf


def parse(argv):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    add = parser.add_argument
    add("data", help="a folder or a zip file of photographs")
    add("--preset", default=DEFAULT_PRESET, help="a name, or a preset folder")
    add("--scale", type=int, default=2, choices=(2, 4, 8))
    add("--num-images", type=int, default=8)
    add("--seed", type=int, default=0, help="of the details")
    add("--output", type=Path, default="upscaled.png")
    return parser.parse_args(argv)


def main(argv=None):
    args = parse(argv)
    model = keras_wmgm.from_preset(args.preset)
    height, width, channels = model.image_shape
    photos = load_images(args.data, (height, width), channels=channels)
    photos = photos[: args.num_images]
    small = np.rint(block_means(photos, args.scale)).astype("uint8")

    ours = model.upscale(small, args.scale, seed=args.seed, verbose=0)
    bicubic = resize(small, args.scale, Image.BICUBIC)
    for name, images in {"ours": ours, "bicubic": bicubic}.items():
        kept = psnr(block_means(images, args.scale), small)
        near = psnr(images, photos)
        print(
            f"{name:>8}: content kept to {kept:.1f} dB, "
            f"{near:.1f} dB from the originals"
        )

    blocks = resize(small, args.scale, Image.NEAREST)
    rows = np.stack([blocks, bicubic, ours, photos], axis=1)
    grid = image_grid(rows.reshape(-1, *model.image_shape), columns=4)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    save_image(grid, args.output)
    print(args.output)


if __name__ == "__main__":
    main()
