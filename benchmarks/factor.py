"""What one factor of a recipe learns in some minutes, for choosing recipes.

    python -m benchmarks.factor --recipe zoo/celeba_64_wsgm/recipe.toml \
        --factor detail_1 --minutes 5 --data celeba64.zip \
        --features squeezenet_v1.1_imagenet_notop.npz

Change one thing, and give both the same minutes; they begin after compilation,
and the learning rate falls to nothing over them.

    --set condition_noise=0.3 --set "network.filters=[64,128]"
    --set 'optimizer.class="Adam"' --set optimizer.learning_rate=1e-3
    --set 'kind="gan"' --set mse_weight=0.05

change the factor's table in the recipe, or that of its optimizer. A factor of
another kind than before has what is set and no more, and so has an optimizer of
another class, besides how it averages, clips and decays.

A detail factor draws upon the photographs' own coarse bands, so no other factor
has a part in it, nor has a guide, which would have to learn, too. With `--upon
PRESET` there is a second row, of what it draws upon the coarse bands of images
that the preset drew.

`held-out loss` compares diffusion with diffusion only; `FD` is of 2,000 images
of the size that the level's details complete, to all training photographs at
that size; `std ratio` and `r` are those of `benchmarks.scales`.
"""

import argparse
import math
import time
import tomllib

import keras
import numpy as np

import keras_wmgm
from benchmarks.level import Level
from benchmarks.photographs import load_splits
from benchmarks.scales import Drawing
from benchmarks.squeezenet import SqueezeNet
from benchmarks.squeezenet import describe
from keras_wmgm.factors import DiffusionFactor
from keras_wmgm.factors.factor import AVERAGED
from keras_wmgm.recipes import Stage
from keras_wmgm.recipes import build_model
from keras_wmgm.recipes import build_optimizers
from keras_wmgm.recipes import read_recipe
from keras_wmgm.recipes.build import whole_table
from keras_wmgm.utils.checks import check_choice

SHARED = (*AVERAGED, "global_clipnorm", "decay", "warmup_steps")
"""What an optimizer has of the one that it takes the place of."""
COMPILED = 3
"""Steps after which everything has been compiled."""
PAIRS = 256
"""Images that are drawn twice, for r."""


class Clock(keras.callbacks.Callback):
    """Let the learning rates fall over some minutes, and stop then."""

    def __init__(self, minutes):
        super().__init__()
        self.seconds, self.steps, self.began = 60 * minutes, 0, None

    def on_train_begin(self, logs=None):
        optimizers = self.model.optimizer.by_role.values()
        self.rates = [(o, float(o.learning_rate)) for o in optimizers]

    def on_train_batch_end(self, batch, logs=None):
        self.steps += 1
        if self.steps <= COMPILED:
            self.began = time.perf_counter()
            return
        passed = (time.perf_counter() - self.began) / self.seconds
        self.model.stop_training = passed >= 1
        share = math.cos(math.pi / 2 * min(passed, 1))
        share *= min(1, self.steps / 200)
        for optimizer, rate in self.rates:
            optimizer.learning_rate = rate * share


def merged(table, values):
    """Return a table with values set, tables within it alike."""
    inner = {
        name: merged(table.get(name, {}), value)
        if isinstance(value, dict)
        else value
        for name, value in values.items()
    }
    return {**table, **inner}


def change(recipe, factor, settings):
    """Set parts of a factor's table, and of its optimizer's."""
    if not settings:
        return
    values, details = {}, recipe.model.get("details")
    if not isinstance(details, list):
        raise ValueError(
            "`--set` changes one of a recipe's [[model.details]]. "
            f"Received: a recipe with details={details}"
        )
    for setting in settings:
        values = merged(values, tomllib.loads(setting))
    optimizer, k = values.pop("optimizer", {}), check_factor(recipe, factor)
    details[k - 1] = _of_kind(details[k - 1], values)
    tables = {} if "kind" in values else recipe.optimizers
    role, *_ = build_model(recipe).parts[factor].roles
    recipe.optimizers[factor] = _of_class(whole_table(tables, role), optimizer)


def _of_kind(table, values):
    new = merged(table, values)
    same = new.get("kind", "diffusion") == table.get("kind", "diffusion")
    return new if same else values


def _of_class(table, values):
    new = merged(table, values)
    if new.get("class") == table.get("class"):
        return new
    shared = {n: v for n, v in table.items() if n in SHARED}
    return {**shared, **values}


def train(recipe, factor, images, minutes):
    """Return a model, one factor of which was trained, and the steps."""
    batch_size = next(
        (s.batch_size for s in recipe.stages if factor in (s.factors or ())), 32
    )
    # Without an end, for the rates are the clock's.
    recipe.stages = [Stage([factor], batch_size=batch_size)]
    model, clock = build_model(recipe), Clock(minutes)
    if isinstance(model.factors[factor], DiffusionFactor):
        model.factors[factor].guidance = 1.0  # no guide learns here
    model.compile(build_optimizers(recipe, model, len(images)))
    batches = keras_wmgm.data.ImageBatches(
        images, batch_size, flip=recipe.data.get("flip", False), seed=0
    )
    model.fit(
        batches, epochs=10**6, factors=factor, callbacks=[clock], verbose=0
    )
    return model, clock.steps


def measure(level, drawing, drawn, num_images):
    """Yield FD, ratios of spreads and r: upon photographs, and upon `drawn`.

    Two draws upon a drawn band have no true details to compare with, so there
    is no r then.
    """
    h, conditions = level.details, level.conditions
    f = drawing.draw(conditions[:num_images], seed=1)
    g = drawing.draw(conditions[: min(num_images, PAIRS)], seed=2)
    pairs = range(len(g))
    r = np.mean((f[pairs] - g) ** 2) / np.mean((f[pairs] - h[pairs]) ** 2)
    yield *level.compare(conditions, f), r
    if drawn is not None:
        _, conditions = level.bands(drawn)
        f = drawing.draw(conditions, seed=1)
        yield *level.compare(conditions, f), None


def print_row(upon, learned, distance, ratios, r):
    ratios = " ".join(f"{ratio:.2f}" for ratio in ratios)
    r = "" if r is None else f"{r:.2f}"
    print(f"| {upon} | {learned} | {distance:,.0f} | {ratios} | {r} |")


def parse(argv):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    add = parser.add_argument
    add("--recipe", required=True)
    add("--factor", required=True, help="detail_1, ...")
    add("--minutes", type=float, default=5.0)
    add("--data", required=True, help="a zip file with train/ and test/")
    add("--features", required=True)
    add(
        "--upon", help="a preset, whose images' coarse bands are drawn upon too"
    )
    add("--set", action="append", default=[], help="KEY=VALUE, in TOML")
    add("--num-images", type=int, default=2000)
    add("--num-steps", type=int, default=8)
    return parser.parse_args(argv)


def check_factor(recipe, factor):
    """Return the level of a factor, or refuse one that has not one level."""
    model = build_model(recipe)
    details = [part for part in model.parts if part.kind == "detail"]
    levels = {} if model.shares_details else dict(enumerate(details, start=1))
    levels = {part.name: k for k, part in levels.items()}
    if not levels:
        raise ValueError(
            "The recipe must have details of each level, [[model.details]]; "
            f"all levels share one factor in it. Received: factor={factor!r}"
        )
    return levels[check_choice("factor", factor, levels)]


def trained(args):
    """Return the model, its photographs, and what of it is in every row."""
    recipe = read_recipe(args.recipe)
    check_factor(recipe, args.factor)
    change(recipe, args.factor, args.set)
    keras.config.set_dtype_policy(recipe.precision)
    size = (recipe.data["image_size"],) * 2
    images, held_out = load_splits(args.data, size)
    model, steps = train(recipe, args.factor, images, args.minutes)
    losses = model.evaluate(held_out, verbose=0, return_dict=True)
    loss = losses[f"{args.factor}_loss"]
    seconds = 60 * args.minutes / steps
    return model, images, f"{steps:,} | {seconds:.2f} | {loss:.3f}"


def main(argv=None):
    args = parse(argv)
    network = SqueezeNet(args.features)
    model, images, learned = trained(args)
    drawn = None
    if args.upon:
        preset = keras_wmgm.from_preset(args.upon)
        drawn = preset.generate(args.num_images, args.num_steps, seed=0)
    print(
        f"{' '.join([args.recipe, *args.set])}, {args.factor}, "
        f"{args.minutes:g} minutes, "
        f"{args.num_images} images, {args.num_steps} steps, {describe()}\n\n"
        "| upon | steps | s per step | held-out loss | FD | std ratio | r |\n"
        "|---|---|---|---|---|---|---|"
    )
    (k,) = model.parts[args.factor].levels
    level = Level(model, k, images, network)
    drawing = Drawing(model, k, args.num_steps)
    rows = measure(level, drawing, drawn, args.num_images)
    for upon, row in zip(("photographs", args.upon), rows, strict=False):
        print_row(upon, learned, *row)


if __name__ == "__main__":
    main()
