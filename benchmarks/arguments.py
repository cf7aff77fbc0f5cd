"""The arguments that the benchmarks of a preset share."""

import argparse

import keras_wmgm
from keras_wmgm.diffusion import SAMPLERS


def preset_parser(doc: str, num_images: int) -> argparse.ArgumentParser:
    """Return a parser of a preset, its data, and how much to draw.

    Args:
        doc: The benchmark's docstring.
        num_images: How many images are drawn unless it is said.
    """
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--preset", default=keras_wmgm.DEFAULT_PRESET)
    parser.add_argument("--data", required=True, help="with train/ and test/")
    parser.add_argument("--num-images", type=int, default=num_images)
    parser.add_argument("--num-steps", type=int, default=8)
    return parser


def distance_parser(doc: str, num_images: int) -> argparse.ArgumentParser:
    """Return a parser for a benchmark that compares features, too."""
    parser = preset_parser(doc, num_images)
    parser.add_argument("--features", required=True, help="an npz file")
    parser.add_argument("--batch-size", type=int, default=50)
    parser.add_argument("--sampler", choices=SAMPLERS, default="dpm_solver_2m")
    return parser
