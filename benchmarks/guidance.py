"""What a preset draws at other strengths of its guides.

    python -m benchmarks.guidance --preset celeba_64 --data celeba64.zip \
        --features squeezenet_v1.1_imagenet_notop.npz \
        --set all=1 --set coarse=1.5,detail_3=1.5

Every `--set` is a row: a guidance for each factor that it names, where the
others keep theirs; `all` names every factor that has a guide. A strength of 1
is the network without its guide. `--temperature coarse=1.01,detail_1=1.03` sets
temperatures for all rows, of any factors drawn by diffusion. `std ratio` is the
standard deviation of each level's details in drawn images over that in held-out
photographs, the finest level first.
"""

import keras_wmgm
from benchmarks.arguments import distance_parser
from benchmarks.quality import draw
from benchmarks.scales import band_stds
from benchmarks.scales import whitened
from benchmarks.squeezenet import SqueezeNet
from benchmarks.squeezenet import describe
from benchmarks.squeezenet import frechet_distance
from benchmarks.squeezenet import novelty
from benchmarks.squeezenet import precision_recall


def guided(model):
    """Return the factors that have a guide, by name."""
    return {
        name: factor
        for name, factor in model.factors.items()
        if getattr(factor, "guide", None) is not None
    }


def diffusions(model):
    """Return the factors drawn by diffusion, by name."""
    return {n: f for n, f in model.factors.items() if f.is_diffusion}


def values(text, factors):
    """Return numbers by factor of `"coarse=1.5,detail_1=1.1"`."""
    given = {}
    for part in text.split(","):
        name, _, value = part.partition("=")
        if name not in (*factors, "all"):
            raise ValueError(
                f"A value is for all or one of {', '.join(factors)}. "
                f"Received: {text}"
            )
        names = factors if name == "all" else [name]
        given.update(dict.fromkeys(names, float(value)))
    return given


def std_ratios(model, drawn, held_out):
    """Return the ratio of spreads of each level, over its bands."""
    own, real = (whitened(model, images)[0] for images in (drawn, held_out))
    return [
        (band_stds(f) / band_stds(h)).mean()
        for f, h in zip(own, real, strict=True)
    ]


def main(argv=None):
    parser = distance_parser(__doc__, num_images=1000)
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--temperature")
    arguments = parser.parse_args(argv)

    model = keras_wmgm.from_preset(arguments.preset)
    factors = guided(model)
    own = {name: factor.guidance for name, factor in factors.items()}
    if arguments.temperature:
        heated = diffusions(model)
        for name, value in values(arguments.temperature, heated).items():
            heated[name].temperature = value
    changes = [values(text, factors) for text in arguments.set]
    size = model.image_shape[:2]
    photographs = [
        keras_wmgm.data.load_images(f"{arguments.data}:{split}", size)
        for split in ("train", "test")
    ]
    network = SqueezeNet(arguments.features)
    real, test = map(network, photographs)
    print(
        f"{arguments.preset}, {arguments.num_images} images, "
        f"{arguments.num_steps} steps of {arguments.sampler}, temperature "
        f"{arguments.temperature or 'of its own'}, {describe()}\n"
    )
    measures = ["FD", "precision", "recall", "novelty", "std ratio"]
    print(f"| {' | '.join([*own, *measures])} |")
    print("|---" * len([*own, *measures]) + "|")
    for change in changes or [{}]:
        for name, value in {**own, **change}.items():
            factors[name].guidance = value
        images, _ = draw(model, arguments)
        drawn = network(images)
        ratios = std_ratios(model, images[:512], photographs[1])
        figures = [
            *(f"{factor.guidance:g}" for factor in factors.values()),
            f"{frechet_distance(real, drawn):,.0f}",
            *(f"{v:.2f}" for v in precision_recall(real, drawn)),
            f"{novelty(real, drawn, test):.2f}",
            " ".join(f"{ratio:.2f}" for ratio in ratios),
        ]
        print(f"| {' | '.join(figures)} |", flush=True)


if __name__ == "__main__":
    main()
