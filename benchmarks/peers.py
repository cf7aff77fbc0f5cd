"""What others make of the same photographs in the same minutes.

    pip install torch denoising-diffusion-pytorch lightweight-gan diffusers
    python -m benchmarks.peers --peer diffusers --minutes 20 \
        --data celeba64.zip --features squeezenet_v1.1_imagenet_notop.npz

Every peer trains as its own documentation shows, alone on the machine; its
minutes begin with its first step. For so few steps as two CPU cores make of
them, batches are of 16 images without accumulation, learning rates of 3e-4
(`lightweight-gan` has its own, 2e-4, and is told that the CPU is a GPU, which
it asks for), and the diffusion models as small as this project's presets: of
their default networks, 36 and 114 million parameters, an hour sees some hundred
steps. They draw in 25 steps of DDIM. `keras-wmgm` is `keras-wmgm train
--minutes`, in bfloat16 and with mirrored images (as the others have them);
compilation, samples and saving are within its minutes.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import keras
import numpy as np
from PIL import Image

import keras_wmgm
from benchmarks.peer_packages import PEERS
from benchmarks.peer_packages import Clock
from benchmarks.squeezenet import SqueezeNet
from benchmarks.squeezenet import describe
from benchmarks.squeezenet import frechet_distance
from benchmarks.squeezenet import precision_recall
from keras_wmgm.callbacks import load_run

COMMAND = "from keras_wmgm.cli.main import main; main()"


def run_peer(name, folder, size, minutes, num_images):
    """Return images, seconds per 100, parameters and steps."""
    import torch

    sample, network, steps = PEERS[name](folder, size, Clock(minutes))
    parameters = sum(p.numel() for p in network.parameters())
    parts, began = [], time.perf_counter()
    with torch.no_grad():
        for start in range(0, num_images, 50):
            drawn = sample(min(50, num_images - start))
            parts.append(np.rint(255 * drawn.numpy()).astype("uint8"))
    seconds = 100 * (time.perf_counter() - began) / num_images
    images = np.concatenate(parts).transpose(0, 2, 3, 1)
    return images, seconds, parameters, steps


def run_own(folder, size, minutes, num_images):
    """The same of `keras-wmgm train`, as a user calls it."""
    run = folder.parent / "run"
    options = {"data": folder, "image-size": size, "minutes": minutes}
    subprocess.run(
        [sys.executable, "-c", COMMAND, "train"]
        + [f"--{key}={value}" for key, value in options.items()]
        + [f"--output={run}", "--flip", "--precision=mixed_bfloat16"],
        check=True,
    )
    model = keras_wmgm.from_preset(run / "preset")
    options = {"batch_size": 50, "verbose": 0, "seed": 0}
    model.generate(50, **options)
    began = time.perf_counter()
    images = model.generate(num_images, **options)
    seconds = 100 * (time.perf_counter() - began) / num_images
    steps = load_run(run).optimizer.iterations
    steps = int(keras.ops.convert_to_numpy(steps))
    return images, seconds, model.count_params(), steps


def main(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    choices = [*PEERS, "keras-wmgm"]
    parser.add_argument("--peer", choices=choices, required=True)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--data", required=True, help="with train/")
    parser.add_argument("--features", required=True)
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--num-images", type=int, default=1000)
    parser.add_argument("--save", metavar="FILE.npy", help="keep the images")
    arguments = parser.parse_args(argv)

    size = arguments.image_size
    real = keras_wmgm.data.load_images(f"{arguments.data}:train", (size, size))
    run = run_own
    if arguments.peer in PEERS:
        run = partial(run_peer, arguments.peer)
    with tempfile.TemporaryDirectory() as folder:
        photographs = Path(folder) / "photographs"
        photographs.mkdir()
        for i, image in enumerate(real):
            Image.fromarray(image).save(photographs / f"{i:06}.png")
        images, seconds, parameters, steps = run(
            photographs, size, arguments.minutes, arguments.num_images
        )
    if arguments.save:
        np.save(arguments.save, images)
    network = SqueezeNet(arguments.features)
    features, drawn = network(real), network(images)
    precision, recall = precision_recall(features, drawn)
    print(f"{arguments.minutes:g} minutes, {len(images)} images, {describe()}")
    print(
        "| | parameters | steps | FD-SqueezeNet | precision | recall "
        "| s per 100 images |\n|---|---|---|---|---|---|---|\n"
        f"| {arguments.peer} | {parameters / 1e6:.1f} M | {steps:,} "
        f"| {frechet_distance(features, drawn):,.0f} | {precision:.2f} "
        f"| {recall:.2f} | {seconds:.1f} |"
    )


if __name__ == "__main__":
    main()
