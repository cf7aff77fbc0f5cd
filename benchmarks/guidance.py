"""What a preset draws at other strengths of its guides.

    python -m benchmarks.guidance --preset celeba_64_wsgm --data celeba64.zip \
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
from benchmarks.photographs import Photographs
from benchmarks.quality import draw
from benchmarks.scales import band_stds
from benchmarks.scales import whitened
from benchmarks.squeezenet import describe

MEASURES = ("FD", "precision", "recall", "novelty", "std ratio")


def guided(model):
    """Return the factors that have a guide, by name."""
    return {
        name: factor
        for name, factor in model.factors.items()
        if getattr(factor, "guide", None) is not None
    }


def diffusions(model):
    """Return the factors drawn by diffusion, by name."""
    return {n: f for n, f in model.factors.items() if hasattr(f, "guidance")}


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


def row(model, arguments, photographs):
    """Return the figures of a row, for the strengths the model has now."""
    images, _ = draw(model, arguments)
    near = photographs.compare(images)
    ratios = std_ratios(model, images[:512], photographs.held_out)
    return [
        *(f"{factor.guidance:g}" for factor in guided(model).values()),
        f"{near.distance:,.0f}",
        f"{near.precision:.2f}",
        f"{near.recall:.2f}",
        f"{near.novelty:.2f}",
        " ".join(f"{ratio:.2f}" for ratio in ratios),
    ]


def main(argv=None):
    parser = distance_parser(__doc__, num_images=1000)
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--temperature")
    arguments = parser.parse_args(argv)

    model = keras_wmgm.from_preset(arguments.preset)
    factors, heated = guided(model), diffusions(model)
    own = {name: factor.guidance for name, factor in factors.items()}
    if arguments.temperature:
        for name, value in values(arguments.temperature, heated).items():
            heated[name].temperature = value
    changes = [values(text, factors) for text in arguments.set]
    size = model.image_shape[:2]
    photographs = Photographs(arguments.data, size, arguments.features)
    print(
        f"{arguments.preset}, {arguments.num_images} images, "
        f"{arguments.num_steps} steps of {arguments.sampler}, temperature "
        f"{arguments.temperature or 'of its own'}, {describe()}\n"
    )
    print(f"| {' | '.join([*own, *MEASURES])} |")
    print("|---" * len([*own, *MEASURES]) + "|")
    for change in changes or [{}]:
        for name, value in {**own, **change}.items():
            factors[name].guidance = value
        figures = row(model, arguments, photographs)
        print(f"| {' | '.join(figures)} |", flush=True)


if __name__ == "__main__":
    main()
