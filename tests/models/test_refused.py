"""What a model refuses before any work starts, and in which words."""

import json

import keras
import numpy as np
import pytest

import keras_wmgm
from keras_wmgm import MultiscaleModel
from keras_wmgm import data
from keras_wmgm import factors
from keras_wmgm import networks
from tests.models import tiny

IMAGES = tiny.IMAGES
NAN = IMAGES.copy()
NAN[3, 0, 0, 0] = np.nan


class Things:
    """Models in every state."""

    def __init__(self, folder):
        self.folder = folder
        self.bare = tiny.mixed()
        self.compiled = tiny.compiled(tiny.mixed())
        self.adapted = tiny.mixed()
        self.adapted.adapt(IMAGES)
        self.ready = tiny.compiled(tiny.mixed())
        self.ready.adapt(IMAGES)
        self.score = tiny.diffusion()
        self.gan = tiny.gan()

    def noise(self, **changes):
        noise = self.adapted.draw_noise(2, 0, num_steps=2)
        noise.update(changes)
        return {k: v for k, v in noise.items() if v is not None}


@pytest.fixture(scope="module")
def things(tmp_path_factory):
    return Things(tmp_path_factory.mktemp("refused"))


def fit(images, **kwargs):
    return lambda t: t.ready.fit(images, verbose=0, **kwargs)


def generate(**kwargs):
    return lambda t: t.adapted.generate(**{"verbose": 0, **kwargs})


def upscale(images=IMAGES, **kwargs):
    return lambda t: t.adapted.upscale(images, verbose=0, **kwargs)


def make(*args, **kwargs):
    """Return a function that makes a model; strings name a thing's parts."""

    def part(t, value):
        if isinstance(value, list):
            return [part(t, v) for v in value]
        return getattr(t, value) if isinstance(value, str) else value

    return lambda t: MultiscaleModel(
        *[part(t, a) for a in args],
        **{k: part(t, v) for k, v in kwargs.items()},
    )


def adversarial(**kwargs):
    return lambda t: factors.AdversarialFactor(
        tiny.generator(1), tiny.critic(4), **kwargs
    )


def score(**kwargs):
    return lambda t: factors.DiffusionFactor(tiny.score(1), **kwargs)


def preset(name, text):
    def load(t):
        folder = t.folder / str(len(text))
        folder.mkdir()
        (folder / name).write_text(text)
        return keras_wmgm.from_preset(folder)

    return load


def other_class(t):
    t.adapted.save_to_preset(t.folder / "other")
    return keras_wmgm.WMGM.from_preset(t.folder / "other")


def truncated(t):
    folder = t.folder / "truncated"
    t.adapted.save_to_preset(folder)
    path = folder / "model.weights.h5"
    path.write_bytes(path.read_bytes()[:500])
    return keras_wmgm.from_preset(folder)


def foreign(t):
    config = keras.saving.serialize_keras_object(tiny.critic(1))
    return preset("config.json", json.dumps(config))(t)


def float16(t):
    score = networks.ScoreUNet(1, filters=(4,), num_blocks=1)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = MultiscaleModel((8, 8, 1), 0, factors.DiffusionFactor(score))
        model.compile()
    finally:
        keras.config.set_dtype_policy(before)


def pixels():
    model = tiny.model(0)
    model.adapt(IMAGES)
    return model


def one_shot():
    yield IMAGES


class Endless(keras.utils.PyDataset):
    """One batch, again and again."""

    num_batches = None

    def __getitem__(self, index):
        return IMAGES


DEEP = networks.ScoreUNet(1, filters=(4, 4, 4, 4), num_blocks=1)
"""A network of which a band must be a multiple of 8."""

CASES = {
    # The model's parts
    "size": (
        make((20, 24, 1), 3, "score", "gan"),
        "height that is a multiple of 8. The nearest that fit: 16 and 24",
    ),
    "small size": (
        make((4, 4, 1), 3, "score", "gan"),
        "multiple of 8. The nearest that fit: 8",
    ),
    "shape": (make((8, 8), 1, "score", "gan"), "batch of images"),
    "no channels": (make((8, 8, 0), 1, "score", "gan"), "`image_shape`"),
    "negative levels": (make((8, 8, 1), -1, "score"), "`num_levels`"),
    "levels": (make((8, 8, 1), 1.0, "score", "gan"), "`num_levels`"),
    "seed": (make((8, 8, 1), 1, "score", "gan", seed=-1), "`seed`"),
    "coarse": (make((8, 8, 1), 1, "gan_", "gan"), "keras_wmgm.factors.Factor"),
    "few details": (make((8, 8, 1), 2, "score", ["gan"]), "list of 2 factors"),
    "no details": (make((8, 8, 1), 1, "score"), "list of 1 factors"),
    "details at S = 0": (
        make((8, 8, 1), 0, "score", "gan"),
        "list of 0 factors",
    ),
    "twice": (
        make((8, 8, 1), 2, "score", ["gan", "gan"]),
        "must not be used twice",
    ),
    "strides": (
        lambda t: MultiscaleModel(
            (8, 8, 1), 1, factors.DiffusionFactor(DEEP), t.gan
        ),
        "needs a height and a width that are multiples of 8",
    ),
    "band channels": (
        make((8, 8, 3), 1, "score", "gan"),
        "must have 3 channels",
    ),
    "critic's channels": (
        lambda t: MultiscaleModel(
            (8, 8, 1),
            1,
            t.score,
            factors.AdversarialFactor(tiny.generator(1), tiny.critic(3)),
        ),
        "must have 4 channels",
    ),
    "condition": (
        lambda t: MultiscaleModel((8, 8, 1), 1, t.score, tiny.diffusion(3)),
        "must have 1 channels in its input 'condition'",
    ),
    "scales": (
        lambda t: tiny.small_wmgm(2, details_scales=1),
        "`num_scales=2` or more",
    ),
    "adversarial coarse": (
        make((8, 8, 1), 0, "gan"),
        "use a factor without a condition",
    ),
    "wmgm without levels": (
        lambda t: keras_wmgm.WMGM((8, 8, 1), 0),
        "`num_levels` must be a whole number of at least 1",
    ),
    "wmgm shape": (lambda t: keras_wmgm.WMGM((8, 8)), "`image_shape`"),
    # The factors
    "score inputs": (
        lambda t: factors.DiffusionFactor(tiny.critic(1)),
        r"keys \['log_snr', 'x'\]",
    ),
    "generator inputs": (
        lambda t: factors.AdversarialFactor(tiny.critic(1), tiny.critic(1)),
        r"`generator` must be .* keys \['condition'\]",
    ),
    "critic inputs": (
        lambda t: factors.AdversarialFactor(
            tiny.generator(1), tiny.generator(1)
        ),
        r"`critic` must be .* keys \['x'\]",
    ),
    "no network": (
        lambda t: factors.DiffusionFactor("score"),
        "must be a Keras model",
    ),
    "negative mse": (adversarial(mse_weight=-1), "`mse_weight` must be"),
    "negative ssim": (adversarial(ssim_weight=-0.5), "`ssim_weight` must be"),
    "negative gamma": (adversarial(gamma=-1), "`gamma` must be"),
    "adversarial weight": (
        adversarial(adversarial_weight="1"),
        "`adversarial_weight` must be",
    ),
    "nan weight": (adversarial(mse_weight=np.nan), "`mse_weight` must be"),
    "penalty std": (adversarial(penalty_std=0), "`penalty_std` must be"),
    "adversarial loss": (
        adversarial(adversarial_loss="wassserstein"),
        "Did you mean 'wasserstein'",
    ),
    "critic input": (adversarial(critic_input="band"), "Did you mean 'bands'"),
    "condition noise": (
        adversarial(condition_noise=-0.1),
        "`condition_noise` must be",
    ),
    "grid": (score(grid="uniforn"), "Did you mean 'uniform'"),
    "times": (score(t_min=6.0), "t_min < t_max"),
    "log-SNR's law": (score(log_snr_std=-1.0), "`log_snr_std`"),
    # Training
    "fit before compile": (
        lambda t: t.bare.fit(IMAGES),
        r"Call `compile\(\)` before `fit\(\)`",
    ),
    "evaluate before compile": (
        lambda t: t.adapted.evaluate(IMAGES),
        r"Call `compile\(\)` before `evaluate\(\)`",
    ),
    "evaluate before adapt": (
        lambda t: t.compiled.evaluate(IMAGES, verbose=0),
        r"`evaluate` needs the statistics of the bands: call `adapt",
    ),
    "one-shot iterator": (
        lambda t: t.compiled.fit(one_shot(), verbose=0),
        r"use it up or never end: call `adapt",
    ),
    "no data": (lambda t: t.compiled.fit(None), "takes an array of images"),
    "nan": (fit(NAN), r"finite and in \[-1, 1\]"),
    "range": (fit(2 * IMAGES), r"finite and in \[-1, 1\]"),
    "int32": (fit(tiny.PIXELS.astype("int32")), "must be uint8"),
    "empty": (fit(IMAGES[:0]), "At least one image"),
    "image size": (fit(IMAGES[:, :4]), r"shape \(batch, 8, 8, 1\)"),
    "channels": (fit(IMAGES.repeat(3, -1)), r"shape \(batch, 8, 8, 1\)"),
    "one image": (fit(IMAGES[0]), r"shape \(batch, 8, 8, 1\)"),
    "evaluated nan": (
        lambda t: t.ready.evaluate(NAN, verbose=0),
        r"finite and in \[-1, 1\]",
    ),
    "validation nan": (
        fit(IMAGES, validation_data=NAN),
        r"finite and in \[-1, 1\]",
    ),
    "batch size": (fit(IMAGES, batch_size=-2), "`batch_size`"),
    "zero batch size": (fit(IMAGES, batch_size=0), "`batch_size`"),
    "adapted nan": (
        lambda t: t.bare.adapt(NAN),
        r"finite and in \[-1, 1\]",
    ),
    "targets": (fit(IMAGES, y=IMAGES), "takes no `y`"),
    "split": (fit(IMAGES, validation_split=0.5), "no `validation_split`"),
    "more steps than batches": (
        fit(IMAGES, batch_size=8, steps_per_epoch=3),
        "`steps_per_epoch` must be at most 2, which is one pass",
    ),
    "no steps": (fit(IMAGES, steps_per_epoch=0), "`steps_per_epoch` must be"),
    "no validation steps": (
        fit(IMAGES, validation_data=IMAGES, validation_steps=0),
        "`validation_steps` must be a whole number",
    ),
    "steps of nothing": (
        fit(IMAGES, validation_steps=2),
        "`validation_steps` needs `validation_data`",
    ),
    "validation frequency": (
        fit(IMAGES, validation_data=IMAGES, validation_freq=0),
        "`validation_freq` must be",
    ),
    "validation targets": (
        fit(IMAGES, validation_data=(IMAGES, IMAGES)),
        "`validation_data` is images alone",
    ),
    "validation of labels": (
        fit(IMAGES, validation_data=np.arange(4)),
        "Are these labels",
    ),
    "fewer epochs than done": (
        fit(IMAGES, initial_epoch=3, epochs=2),
        "at least `initial_epoch`. Received: epochs=2, initial_epoch=3",
    ),
    "half an epoch": (fit(IMAGES, epochs=1.5), "`epochs` must be"),
    "unknown argument": (fit(IMAGES, epoch=3), "Did you mean 'epochs'"),
    "shuffle": (fit(IMAGES, shuffle="batch"), "`shuffle` must be one of"),
    "batch size of batches": (
        fit(data.ImageBatches(IMAGES), batch_size=4),
        "`batch_size` is for arrays",
    ),
    "shuffled batches": (
        fit(data.ImageBatches(IMAGES), shuffle=False),
        "`shuffle` is for arrays",
    ),
    "shuffled iterator": (
        fit(one_shot(), steps_per_epoch=1, shuffle=True),
        "`shuffle` is for arrays",
    ),
    "iterator": (fit(one_shot()), "ends, if it does: pass `steps_per_epoch`"),
    "endless": (fit(Endless()), "ends, if it does: pass `steps_per_epoch`"),
    "endless statistics": (
        lambda t: t.compiled.fit(Endless(), steps_per_epoch=1, verbose=0),
        r"use it up or never end: call `adapt",
    ),
    "evaluated endless": (
        lambda t: t.ready.evaluate(Endless(), verbose=0),
        "`evaluate` cannot tell where .* pass `steps`",
    ),
    "endless validation": (
        fit(IMAGES, validation_data=Endless()),
        "`validation_data` cannot tell where .* pass `validation_steps`",
    ),
    "evaluated nothing": (
        lambda t: t.ready.evaluate(None, verbose=0),
        "`evaluate` takes an array of images",
    ),
    "list": (fit([IMAGES]), "takes an array of images"),
    "evaluated targets": (
        lambda t: t.ready.evaluate(IMAGES, y=IMAGES, verbose=0),
        "takes no `y`",
    ),
    "factor": (fit(IMAGES, factors="coarce"), "Did you mean 'coarse'"),
    "factors": (fit(IMAGES, factors=("coarse", "x")), "`factors` must be one"),
    "no factors": (fit(IMAGES, factors=()), "`factors` must name one"),
    "role": (
        lambda t: tiny.mixed().compile({"critik": "sgd"}),
        "Did you mean 'critic'",
    ),
    "optimizer": (
        lambda t: tiny.mixed().compile(
            keras.optimizers.MultiOptimizer(
                keras.optimizers.OptimizerMap(keras.optimizers.SGD())
            )
        ),
        "not a wrapper of others",
    ),
    "float16": (float16, "use `mixed_bfloat16` or `float32`"),
    # Drawing
    "generate before adapt": (
        lambda t: t.bare.generate(1),
        "`generate` needs the statistics of the bands",
    ),
    "no images": (generate(num_images=0), "`num_images` must be"),
    "negative images": (generate(num_images=-1), "`num_images` must be"),
    "half an image": (generate(num_images=1.5), "`num_images` must be"),
    "negative start": (generate(start=-1), "`start` must be"),
    "negative seed": (generate(seed=-1), "`seed` must be"),
    "drawn batch size": (generate(batch_size=0), "`batch_size` must be"),
    "steps": (generate(num_steps=0), "`num_steps` must be"),
    "step counts": (
        generate(num_steps=(2, 2, 2)),
        "one for each factor that takes steps: coarse, detail_2. ",
    ),
    "step types": (generate(num_steps=(2, 2.5)), "`num_steps` must be"),
    "sampler": (generate(sampler="dpm_solver_2"), "Did you mean"),
    "pixel type": (generate(dtype="float16"), "'uint8', 'float32'"),
    "noise shape": (
        lambda t: t.adapted.generate(
            noise=t.noise(coarse=np.zeros((2, 4, 4, 1))), num_steps=2
        ),
        r"what `draw_noise` returns .*Received: .*\(2, 4, 4, 1\)",
    ),
    "seed and noise": (
        lambda t: t.adapted.generate(noise=t.noise(), num_steps=2, seed=1),
        "either `seed` or `noise`",
    ),
    "nan noise": (
        lambda t: t.adapted.generate(
            noise=t.noise(coarse=np.full((2, 2, 2, 1), np.nan)), num_steps=2
        ),
        "`noise` must be finite floats",
    ),
    "noise count": (
        lambda t: t.adapted.generate(
            noise=t.noise(coarse=np.zeros((3, 2, 2, 1))), num_steps=2
        ),
        "what `draw_noise` returns",
    ),
    "noise names": (
        lambda t: t.adapted.generate(noise=t.noise(coarse=None), num_steps=2),
        "what `draw_noise` returns",
    ),
    "noise sampler": (
        lambda t: t.adapted.generate(
            noise=t.noise(), num_steps=2, sampler="euler_maruyama"
        ),
        "what `draw_noise` returns",
    ),
    "empty noise": (
        lambda t: t.adapted.generate(
            noise={k: v[:0] for k, v in t.noise().items()}, num_steps=2
        ),
        "Received",
    ),
    "drawn noise": (
        lambda t: t.adapted.draw_noise(0, seed=1),
        "`num_images` must be",
    ),
    "noise seed": (lambda t: t.adapted.draw_noise(1, seed=-1), "`seed` must"),
    "calls": (
        lambda t: t.adapted.network_calls((1,)),
        "one for each factor that takes steps",
    ),
    "upscale before adapt": (
        lambda t: t.bare.upscale(IMAGES),
        "`upscale` needs the statistics of the bands",
    ),
    "upscale pixels": (
        lambda t: pixels().upscale(IMAGES),
        "without levels has no details",
    ),
    "large scale": (upscale(scale=8), "`scale` must be one of 2, 4"),
    "odd scale": (upscale(scale=3), "`scale` must be one of 2, 4"),
    "upscaled channels": (
        upscale(IMAGES.repeat(3, -1)),
        r"\(num_images, height, width, 1\)",
    ),
    "upscaled shape": (upscale(IMAGES[0]), r"\(num_images, height, width, 1\)"),
    "upscaled nothing": (upscale(IMAGES[:0]), "num_images, height"),
    "upscaled nan": (upscale(NAN), r"finite and in \[-1, 1\]"),
    "upscale steps": (upscale(num_steps=-2), "`num_steps` must be"),
    "upscale sampler": (upscale(sampler="dddim"), "Did you mean 'ddim'"),
    "upscale batch": (upscale(batch_size=0), "`batch_size` must be"),
    "upscale seed": (upscale(seed=-1), "`seed` must be"),
    "upscale type": (upscale(dtype="int8"), "'uint8', 'float32'"),
    # Files
    "save before adapt": (
        lambda t: t.bare.save_to_preset(t.folder / "bare"),
        "`save_to_preset` needs the statistics of the bands",
    ),
    "stored type": (
        lambda t: t.adapted.save_to_preset(t.folder / "new", dtype="float8"),
        "`dtype` must be one of None, 'float32', 'float16'",
    ),
    "no preset": (
        lambda t: keras_wmgm.from_preset(t.folder),
        "has a config.json, and there is none",
    ),
    "no folder": (
        lambda t: keras_wmgm.from_preset(t.folder / "nowhere"),
        "or a folder",
    ),
    "foreign text": (preset("config.json", "no json"), "not readable as JSON"),
    "foreign model": (foreign, "a model of another library"),
    "another class": (other_class, "The preset is a `MultiscaleModel`"),
    "truncated weights": (truncated, "sha256 must be"),
    "no weights": (
        lambda t: keras_wmgm.from_preset("paper_wmgm_128"),
        "no weights for this preset",
    ),
    "every": (
        lambda t: keras_wmgm.callbacks.RunFolder(t.folder / "run", every=0),
        "`every` must be",
    ),
    "handle": (lambda t: keras_wmgm.from_preset(7), "a name or a path"),
    "run": (
        lambda t: keras_wmgm.callbacks.load_run(t.folder),
        "The folder has no run.keras",
    ),
    # Data
    "no batches": (lambda t: data.ImageBatches(IMAGES[:0]), "at least one"),
    "batches' size": (
        lambda t: data.ImageBatches(IMAGES, batch_size=0),
        "`batch_size` must be",
    ),
    "batches' seed": (
        lambda t: data.ImageBatches(IMAGES, seed=-1),
        "`seed` must be",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_it_is_refused_in_words_that_tell_what_came(things, case):
    things.gan_ = keras.layers.Dense(1)
    act, text = CASES[case]
    with pytest.raises((ValueError, TypeError, OSError), match=text) as error:
        act(things)
    expected, *received = str(error.value).split("Received: ")
    assert expected.strip() and received
    assert received[-1].strip()


@pytest.mark.parametrize(
    "case", ["nan", "range", "channels", "factor", "validation nan"]
)
def test_nothing_is_trained_before_a_refusal(case):
    class Ready:
        ready = tiny.compiled(tiny.model())

    Ready.ready.adapt(IMAGES)
    before = tiny.weights(Ready.ready)
    with pytest.raises(ValueError):
        CASES[case][0](Ready)
    assert Ready.ready.epochs_trained == 0
    tiny.assert_equal(tiny.weights(Ready.ready), before)
