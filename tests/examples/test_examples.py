"""The scripts in `examples/`, run on a few small pictures."""

from functools import partial
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

import keras_wmgm
from examples import custom_factor
from examples import fine_tune
from examples import generate
from examples import train_on_folder
from examples import upscale
from keras_wmgm import models
from keras_wmgm.callbacks import load_run
from keras_wmgm.data import image_grid
from tests.helpers import wave
from tests.models import tiny

SIZE, NUM_IMAGES = 16, 12
SHAPE = (SIZE, SIZE, 3)
FILES = sorted(Path(generate.__file__).parent.glob("*.py"))
PIXELS = np.rint(100 * wave((NUM_IMAGES, *SHAPE)) + 127).astype("uint8")


def tiny_details():
    return [tiny.gan(3), tiny.diffusion(9, condition=3)]


def pixels(path):
    return np.asarray(Image.open(path)).astype("int32")


def assert_shows(path, images, columns, tolerance=0):
    """The file holds these images as a grid."""
    expected = image_grid(images, columns).astype("int32")
    found = pixels(path)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= tolerance


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for i, image in enumerate(PIXELS):
        Image.fromarray(image).save(folder / f"{i:02d}.png")
    return str(folder)


@pytest.fixture(scope="module")
def preset(tmp_path_factory):
    keras.utils.set_random_seed(1)
    model = tiny.model(2, tiny_details(), size=SIZE, channels=3)
    model.adapt(PIXELS)
    folder = tmp_path_factory.mktemp("preset")
    model.save_to_preset(folder)
    return str(folder)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_an_example_is_short_and_says_how_to_run_it(file):
    text = file.read_text()
    assert len(text.splitlines()) < 150
    assert f"    python examples/{file.name}" in text.split('"""')[1]


@pytest.mark.parametrize(
    "example",
    [custom_factor, fine_tune, generate, train_on_folder, upscale],
    ids=lambda module: module.__name__,
)
def test_help_is_the_docstring(example, capsys):
    with pytest.raises(SystemExit, match="0"):
        example.main(["--help"])
    assert example.__doc__.strip() in capsys.readouterr().out


def test_generate_draws_what_the_model_draws(preset, tmp_path, monkeypatch):
    monkeypatch.setattr(generate, "STEPS", (1, 2))
    options = ["--rows", "2", "--columns", "3", "--num-steps", "2"]
    folder = tmp_path / "new" / "samples"
    generate.main(
        ["--preset", preset, "--seed", "5", "--output", str(folder), *options]
    )
    model = keras_wmgm.from_preset(preset)
    draw = {"verbose": 0, "seed": 5}
    images = model.generate(6, num_steps=2, **draw)
    assert_shows(folder / "grid.png", images, 3, 1)
    rows = [model.generate(3, num_steps=n, **draw) for n in (1, 2)]
    assert_shows(folder / "steps.png", np.concatenate(rows), 3, 1)
    # A walk begins with picture 0 and ends with picture 1.
    walk = pixels(folder / "walk.png")
    ends = np.stack([walk[:, :SIZE], walk[:, -SIZE:]])
    assert np.abs(ends - images[:2].astype("int32")).max() <= 1
    assert np.any(walk[:, SIZE : 2 * SIZE] != walk[:, :SIZE])


def test_details_of_a_row_share_the_coarse_band():
    model = tiny.model(2, tiny_details(), size=SIZE, channels=3)
    model.adapt(0.02 * wave((4, *SHAPE)))  # so faint that nothing is clipped
    draw = {"num_steps": 2, "dtype": "float32", "verbose": 0}
    images = generate.details(model, rows=2, columns=3, seed=5, **draw)
    assert np.abs(images).max() < 1
    rows = images.reshape(2, 3, *SHAPE)
    means = upscale.block_means(images, 4).reshape(2, 3, 4, 4, 3)
    assert np.ptp(means, axis=1).max() < 1e-6
    assert np.ptp(rows, axis=1).max() > 1e-3
    assert np.ptp(means, axis=0).max() > 1e-3


def test_upscale_keeps_the_content(preset, photos, tmp_path, capsys):
    path = tmp_path / "new" / "upscaled.png"
    upscale.main(
        [photos, "--preset", preset, "--scale", "4", "--num-images", "2"]
        + ["--seed", "3", "--output", str(path)]
    )
    blocks = PIXELS[:2].reshape(2, 4, 4, 4, 4, 3).mean(axis=(2, 4))
    small = np.rint(blocks).astype("uint8")
    model = keras_wmgm.from_preset(preset)
    ours = model.upscale(small, 4, seed=3, verbose=0)
    means = ours.reshape(2, 4, 4, 4, 4, 3).mean(axis=(2, 4))
    assert np.abs(means - small).max() < 0.51
    large = small.repeat(4, axis=1).repeat(4, axis=2)
    cells = pixels(path).reshape(2, SIZE, 4, SIZE, 3).swapaxes(1, 2)
    for row, i in ((cells[0], 0), (cells[1], 1)):
        assert np.array_equal(row[0], large[i])
        bicubic = Image.fromarray(small[i]).resize((SIZE, SIZE), Image.BICUBIC)
        assert np.array_equal(row[1], np.asarray(bicubic))
        assert np.abs(row[2] - ours[i].astype("int32")).max() <= 1
        assert np.array_equal(row[3], PIXELS[i])
    kept, bicubic = capsys.readouterr().out.splitlines()[-3:-1]
    # Rounding to whole numbers, averaged over 16 pixels, is 71 dB.
    assert float(kept.split("kept to ")[1].split(" dB")[0]) > 60
    assert float(bicubic.split("kept to ")[1].split(" dB")[0]) < 40


def test_psnr_is_that_of_a_known_error():
    a = np.zeros((1, 2, 2, 1), "uint8")
    assert upscale.psnr(a, a + 255) == 0
    assert upscale.psnr(a, a + np.uint8([51])) == pytest.approx(
        13.979, abs=1e-3
    )
    assert upscale.psnr(a, a) == np.inf


def test_grey_photographs_are_enlarged():
    grey = PIXELS[:2, ..., :1]
    large = upscale.resize(grey, 2, Image.NEAREST)
    assert np.array_equal(large, grey.repeat(2, axis=1).repeat(2, axis=2))


def test_a_folder_s_recipe_is_of_a_size_for_photographs():
    args = train_on_folder.parse(["photos/", "--epochs", "7"])
    recipe = train_on_folder.make_recipe(args)
    assert keras_wmgm.recipes.build_model(recipe).network_calls(8) == 32
    assert [(s.factors, s.epochs, s.start_from) for s in recipe.stages] == [
        (["coarse"], 7, None),
        (["detail_3"], 7, None),
        (["detail_2"], 7, "detail_3"),
        (["detail_1"], 7, "detail_2"),
    ]
    assert [(s.factors, s.epochs, s.start_from) for s in recipe.distill] == [
        ([f"detail_{k}"], 3, None) for k in (3, 2, 1)
    ]
    args = ["photos/", "--image-size", "256", "--num-levels", "5"]
    recipe = train_on_folder.make_recipe(train_on_folder.parse(args))
    assert keras_wmgm.recipes.build_model(recipe).network_calls(8) == 48


def test_training_goes_on_as_if_it_had_not_been_stopped(
    photos, tmp_path, monkeypatch, capsys
):
    """Stopped while the teacher learns, and while it is distilled."""
    made = keras_wmgm.WSGM

    def small(**kwargs):
        details = [tiny.diffusion(9, condition=3) for _ in range(2)]
        return made(coarse=tiny.diffusion(3), details=details, **kwargs)

    monkeypatch.setitem(models.CLASSES, "WSGM", small)

    def run(folder, *options):
        train_on_folder.main(
            [photos, "--output", str(folder), "--num-levels", "2"]
            + ["--image-size", str(SIZE), "--batch-size", "4"]
            + ["--save-minutes", "0", "--epochs", "2", *options]
        )
        return capsys.readouterr().out

    class PowerCut(keras.callbacks.Callback):
        at = 3

        def on_epoch_end(self, epoch, logs=None):
            if epoch == self.at:
                raise ZeroDivisionError

    folder = tmp_path / "run"
    fast = folder / "fast"
    with monkeypatch.context() as patch:
        patch.setattr(train_on_folder, "Watch", PowerCut)
        with pytest.raises(ZeroDivisionError):
            run(folder)
        assert load_run(folder).epochs_trained == 3
        assert not fast.exists()
        PowerCut.at = 1  # of the distillation, as the rest begins with 3
        with pytest.raises(ZeroDivisionError):
            run(folder, "--epochs", "9")  # keeps to those it began with
    assert "going on after epoch 3" in capsys.readouterr().out
    assert load_run(folder).epochs_trained == 6
    assert load_run(fast).epochs_trained == 1
    assert "going on after epoch 1" in run(folder)
    run(tmp_path / "unbroken")
    model, student = load_run(folder), load_run(fast)
    assert (model.epochs_trained, student.epochs_trained) == (6, 2)
    for found, name in ((model, "unbroken"), (student, "unbroken/fast")):
        expected = tiny.weights(load_run(tmp_path / name))
        tiny.assert_equal(tiny.weights(found), expected, 1e-6)
    names = [p.name for p in sorted((folder / "samples").iterdir())]
    assert names == [f"epoch_000{i}.png" for i in range(1, 7)]
    assert "the same command goes on" in run(
        tmp_path / "short", "--minutes", "1e-9"
    )
    assert load_run(tmp_path / "short").epochs_trained == 1
    assert not (tmp_path / "short" / "fast").exists()
    for place, found, calls in ((folder, model, 24), (fast, student, 10)):
        preset = keras_wmgm.from_preset(place / "preset")
        assert type(preset) is type(found)
        assert preset.network_calls(8) == calls
        images = preset.generate(16, seed=0, verbose=0)
        assert_shows(place / "samples.png", images, 4, 1)
        # float16 on the disk moves a pixel a little.
        images = found.generate(16, seed=0, verbose=0)
        assert_shows(place / "samples.png", images, 4, 12)


def test_fine_tuning_moves_all_that_draws(preset, photos, tmp_path):
    folder = tmp_path / "new"
    fine_tune.main(
        [photos, "--preset", preset, "--output", str(folder)]
        + ["--warmup-epochs", "1", "--epochs", "1", "--batch-size", "4"]
        + ["--learning-rate", "0.01"]
    )
    before = keras_wmgm.from_preset(preset)
    after = keras_wmgm.from_preset(folder / "preset")
    assert tiny.moved(tiny.weights(after), tiny.weights(before)) == {
        "coarse",
        "detail_1",
        "detail_2",
    }  # and not the pyramid's statistics
    rows = [m.generate(8, seed=0, verbose=0) for m in (before, after)]
    found = pixels(folder / "before_after.png")
    expected = image_grid(np.concatenate([*rows, PIXELS[:8]]), 8)
    difference = np.abs(found - expected.astype("int32"))
    assert difference[:SIZE].max() <= 1
    assert difference[SIZE : 2 * SIZE].max() <= 12  # float16 on the disk
    assert difference[2 * SIZE :].max() == 0


def test_new_critics_learn_while_the_generator_is_held(preset):
    model = keras_wmgm.from_preset(preset)
    fine_tune.compile_slowly(model, 0.01)
    before = tiny.weights(model)
    fine_tune.tune(model, PIXELS, warmup_epochs=1, epochs=0)
    assert tiny.moved(tiny.weights(model), before) == {"critic_1"}
    assert model.epochs_trained == 1
    fine_tune.tune(model, PIXELS, warmup_epochs=0, epochs=2)
    assert model.epochs_trained == 3


def laplacian_images(pyramid, rng, count):
    """Return images of a known law, the thumbnails and the widths.

    Details are Laplacian, narrow where the thumbnail is dark and wide where it
    is bright, around a mean that is the thumbnail's, scaled.
    """
    thumbnails = rng.choice([-0.4, 0.4], (count, 8, 8, 1)).astype("float32")
    widths = np.where(thumbnails > 0, 0.06, 0.02) * np.ones(3)
    details = rng.laplace(0.1 * thumbnails, widths).astype("float32")
    condition = pyramid.condition(thumbnails, 1)
    images = np.asarray(
        keras.ops.convert_to_numpy(pyramid.reconstruct(condition, details, 1))
    )
    assert np.abs(images).max() < 1
    return images, thumbnails, widths


def laplace_model():
    network = custom_factor.make_network(1, filters=8, num_blocks=1)
    return keras_wmgm.MultiscaleModel(
        (16, 16, 1),
        1,
        coarse=tiny.diffusion(1),
        details=[custom_factor.LaplaceFactor(network)],
    )


def test_a_factor_of_ones_own_learns_a_known_law(tmp_path):
    rng = np.random.default_rng(0)
    model = laplace_model()
    images, _, widths = laplacian_images(model.pyramid, rng, 64)
    held, thumbnails, _ = laplacian_images(model.pyramid, rng, 64)
    model.adapt(images)
    _, std = model.pyramid.statistics["detail_1"]
    std = keras.ops.convert_to_numpy(std)
    model.compile(keras.optimizers.Adam(0.01, use_ema=True, ema_momentum=0.95))
    history = model.fit(
        images, factors="detail_1", batch_size=16, epochs=60, verbose=0
    )
    result = model.evaluate(held, return_dict=True, verbose=0)
    # The entropy of a Laplace law of width b is 1 + log 2b.
    entropy = np.mean(1 + np.log(2 * widths / std))
    assert history.history["detail_1_loss"][0] > entropy + 0.2
    assert result["detail_1_loss"] == pytest.approx(entropy, abs=0.03)
    assert result["std_ratio_1"] == pytest.approx(1, abs=0.05)
    check_drawn(model, thumbnails)
    check_kept(model, thumbnails, tmp_path)


def check_drawn(model, thumbnails):
    """Details drawn for these thumbnails are of the law that made them."""
    drawn = model.upscale(thumbnails, 2, seed=1, dtype="float32", verbose=0)
    details = keras.ops.convert_to_numpy(model.pyramid.dwt(drawn)[1])
    for value, width in ((-0.4, 0.02), (0.4, 0.06)):
        here = details[thumbnails[..., 0] == np.float32(value)]
        assert here.mean() == pytest.approx(0.1 * value, abs=0.1 * width)
        distance = np.abs(here - here.mean(axis=0))
        assert distance.mean() == pytest.approx(width, rel=0.06)
        # Heavy tails: E d^2 / (E |d|)^2 is 2, where a Gaussian has pi / 2.
        tails = (distance**2).mean() / distance.mean() ** 2
        assert tails == pytest.approx(2, abs=0.15)


def from_laplace(folder):
    with pytest.raises(ValueError, match="hand it in"):
        keras_wmgm.from_preset(folder)
    custom_objects = custom_factor.CUSTOM_OBJECTS
    return keras_wmgm.from_preset(folder, custom_objects=custom_objects)


def check_kept(model, thumbnails, folder):
    """Presets and Keras's files bring the factor back, and it draws on."""
    model.save_to_preset(folder / "preset")
    model.save(folder / "model.keras")
    twins = [
        from_laplace(folder / "preset"),
        keras.saving.load_model(folder / "model.keras"),
    ]
    draw = {"seed": 2, "dtype": "float32", "verbose": 0}
    for twin in twins:
        assert isinstance(twin.details[0], custom_factor.LaplaceFactor)
        for name, argument in (("upscale", thumbnails[:4]), ("generate", 4)):
            expected = getattr(model, name)(argument, **draw)
            found = getattr(twin, name)(argument, **draw)
            np.testing.assert_allclose(found, expected, 0, 1e-5)


def test_a_factor_of_ones_own_refuses_another_band():
    network = custom_factor.make_network(1)
    with pytest.raises(ValueError, match="needs 18 channels.*Received: 6"):
        custom_factor.LaplaceFactor(network).check_band(9, 3, 1)


def test_custom_factor_trains_on_a_folder(photos, tmp_path, monkeypatch):
    for module, name, sizes in (
        (keras_wmgm.networks, "ScoreUNet", {"filters": (4,)}),
        (custom_factor, "make_network", {"filters": 4, "num_blocks": 1}),
    ):
        make = getattr(module, name)
        monkeypatch.setattr(module, name, partial(make, **sizes))
    custom_factor.main(
        [photos, "--image-size", str(SIZE), "--num-levels", "1"]
        + ["--epochs", "1", "--output", str(tmp_path)]
    )
    images = from_laplace(tmp_path / "preset").generate(16, seed=0, verbose=0)
    assert_shows(tmp_path / "samples.png", images, 4, 1)
