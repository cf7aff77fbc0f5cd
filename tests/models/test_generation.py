"""Pictures: what they depend on, and what they do not."""

import itertools

import keras
import numpy as np
import pytest

from keras_wmgm import factors
from keras_wmgm.models import generation
from keras_wmgm.sampling import noise as noises
from tests.golden import make_pictures
from tests.helpers import wave
from tests.models import tiny

DRAW = {"num_steps": 2, "seed": 7, "verbose": 0, "dtype": "float32"}
SAMPLERS = ["dpm_solver_2m", "euler_maruyama"]


@pytest.fixture(scope="module")
def golden():
    return make_pictures.make()


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(8)
    made = tiny.mixed()
    made.adapt(tiny.IMAGES)
    return made


@pytest.mark.parametrize("case", make_pictures.CASES)
def test_pictures_are_the_stored_ones(golden, case):
    with np.load(make_pictures.PATH) as stored:
        expected = stored[case].astype("int32")
    assert expected.std() > 15
    assert np.mean((expected > 0) & (expected < 255)) > 0.9
    found = make_pictures.pictures(golden, case)
    assert found.dtype == np.uint8
    assert np.abs(found - expected).max() <= 2


def draw(model, sampler="dpm_solver_2m", **kwargs):
    arguments = {"num_images": 5, "sampler": sampler, **DRAW, **kwargs}
    return model.generate(**arguments)


@pytest.fixture(scope="module")
def expected(model):
    return {sampler: draw(model, sampler) for sampler in SAMPLERS}


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("batch_size", [2, 5])
def test_pictures_do_not_depend_on_the_batch_size(
    model, expected, sampler, batch_size
):
    found = draw(model, sampler, batch_size=batch_size)
    np.testing.assert_allclose(found, expected[sampler], 0, 1e-5)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_start_skips_pictures(model, expected, sampler):
    found = draw(model, sampler, num_images=3, start=2)
    np.testing.assert_allclose(found, expected[sampler][2:], 0, 1e-5)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("start", [0, 100])
def test_noise_stands_for_a_seed(model, expected, sampler, start):
    noise = model.draw_noise(5, 7, start, num_steps=2, sampler=sampler)
    found = draw(model, sampler, seed=None, noise=noise, batch_size=2)
    other = draw(model, sampler, start=start)
    np.testing.assert_allclose(found, other, 0, 1e-5)
    same = np.abs(found - expected[sampler]).max() < 1e-5
    assert same == (start == 0)


def test_seeds_and_pictures_differ_and_are_not_constant(model, expected):
    pictures = expected["dpm_solver_2m"]
    others = [draw(model, seed=8), draw(model, seed=None)]
    for other in others:
        assert np.abs(other - pictures).mean() > 0.01
    for a, b in itertools.combinations(pictures, 2):
        assert np.abs(a - b).mean() > 0.01


def test_bytes_are_the_rounded_pixels(model, expected):
    pixels = expected["dpm_solver_2m"]
    assert pixels.dtype == np.float32 and pixels.shape == (5, 8, 8, 1)
    assert -1 <= pixels.min() and pixels.max() <= 1
    found = draw(model, dtype="uint8")
    assert found.dtype == np.uint8
    exact = (pixels + 1) * 127.5
    assert np.abs(found - exact).max() <= 0.5 + 1e-2


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_noise_is_held_in_pieces(model, expected, sampler, monkeypatch):
    shapes = model.noise_shapes(2, sampler)
    bands = [noises.BandNoise(name, 0, s) for name, s in shapes.items()]
    one = noises.bytes_per_image(bands)
    arrays = model.draw_noise(1, 7, num_steps=2, sampler=sampler)
    assert one == sum(values.nbytes for values in arrays.values())
    sizes = []

    def record(shapes, seed, indices):
        sizes.append(len(indices))
        return noises.draw(shapes, seed, indices)

    monkeypatch.setattr(generation, "draw", record)
    monkeypatch.setattr(noises, "MAX_NOISE_BYTES", 2 * one + 1)
    found = draw(model, sampler)
    np.testing.assert_allclose(found, expected[sampler], 0, 1e-5)
    assert set(sizes) == {2}


def test_noise_is_standard_normal_and_drawn_for_itself():
    drawn = [
        noises.image_noise(*key, (40, 40), step)
        for *key, step in itertools.product((0, 1), (0, 5), (0, 1), (0, 2))
    ]
    for i, values in enumerate(drawn):
        assert values.dtype == np.float32
        assert abs(values.mean()) < 0.1 and abs(values.std() - 1) < 0.1
        assert abs((values**4).mean() - 3) < 0.6
        for other in drawn[:i]:
            assert abs(np.mean(values * other)) < 0.15
    again = noises.image_noise(1, 5, 1, (40, 40), 2)
    np.testing.assert_array_equal(again, drawn[-1])


def test_every_array_of_noise_comes_from_its_own_key(model):
    noise = model.draw_noise(3, 11, 4, num_steps=2, sampler="euler_maruyama")
    bands = {
        "coarse": (0, (2, 2, 1)),
        "detail_1": (1, (4, 4, 1)),
        "detail_2": (2, (2, 2, 3)),
    }
    wanted = {"coarse", "coarse_steps", "detail_1", "detail_2"}
    assert set(noise) == wanted | {"detail_2_steps"}
    for name, (level, shape) in bands.items():
        for row in range(3):
            key = {"seed": 11, "image": 4 + row, "level": level, "shape": shape}
            np.testing.assert_array_equal(
                noise[name][row], noises.image_noise(**key)
            )
            for n, step in enumerate(noise.get(f"{name}_steps", [[]] * 3)[row]):
                np.testing.assert_array_equal(
                    step, noises.image_noise(**key, step=n + 1)
                )


def test_nothing_is_compiled_twice(model):
    traced = []
    inference = model.inference_model((2, 2), "ddim")
    call = inference.call

    def record(inputs):
        traced.append({k: tuple(v.shape) for k, v in inputs.items()})
        return call(inputs)

    inference.call = record
    draw(model, "ddim", num_steps=(2, 2), batch_size=3)
    count = len(traced)
    draw(model, "ddim", num_steps=(2, 2), batch_size=3, num_images=8, start=1)
    draw(model, "ddim", num_steps=(2, 2), batch_size=3, num_images=4)
    sizes = {shape[0] for shapes in traced for shape in shapes.values()}
    assert sizes <= {3, None} and count
    if tiny.BACKEND != "torch":  # which runs as it is written
        assert len(traced) == count


def test_an_inference_model_is_made_once_and_holds_no_critic(model):
    assert model.inference_model(2) is model.inference_model(2, "dpm_solver_2m")
    assert model.inference_model(2) is not model.inference_model(2, "ddim")
    paths = [w.path for w in model.inference_model(2).weights]
    roles = ("coarse", "detail_1", "detail_2")
    count = sum(len(model.networks[role].weights) for role in roles)
    assert len(paths) == count + len(model.pyramid.weights)


def test_drawing_follows_the_weights(model):
    before = draw(model)
    network = model.networks["detail_1"]
    values = network.get_weights()
    network.set_weights([0.5 * v for v in values])
    changed = draw(model)
    network.set_weights(values)
    assert np.abs(changed - before).max() > 0.01
    np.testing.assert_allclose(draw(model), before, 0, 1e-6)


def test_every_step_is_a_call_of_the_network():
    model = tiny.mixed()
    assert model.network_calls(8) == 8 + 8 + 1
    assert model.network_calls((8, 3)) == 8 + 3 + 1
    assert tiny.model(2).network_calls(8) == 8 + 1 + 1
    assert tiny.model(0).network_calls(5) == 5


def test_steps_are_given_by_factor_coarse_first(model):
    shapes = model.noise_shapes((3, 2), "euler_maruyama")
    steps = {name: shape.get("steps") for name, shape in shapes.items()}
    assert steps == {
        "coarse": (3, 2, 2, 1),
        "detail_2": (2, 2, 2, 3),
        "detail_1": None,
    }


# Upscaling


@pytest.fixture(scope="module")
def large():
    """A model of two levels that has seen smooth images."""
    keras.utils.set_random_seed(9)
    made = tiny.model(2, size=16, channels=3)
    made.adapt(thumbnails(8, 16, 16))
    return made


def thumbnails(count, height, width, seed=0):
    """Return smooth images, away from the ends of the range."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / 16
    phase = rng.uniform(0, 6, (2, count, 1, 1, 3))
    y, x = y[None, ..., None], x[None, ..., None]
    return 0.4 * np.sin(6 * x + phase[0]) * np.cos(5 * y + phase[1])


def reduced(images, scale):
    count, height, width, channels = images.shape
    return images.reshape(
        count, height // scale, scale, width // scale, scale, channels
    ).mean(axis=(2, 4))


def psnr(x, y, data_range):
    return 10 * np.log10(data_range**2 / np.mean((x - y) ** 2))


@pytest.mark.parametrize(
    "scale, size", [(2, (9, 7)), (2, (8, 8)), (4, (9, 7))], ids=str
)
def test_the_blocks_of_an_upscaled_image_average_to_it(large, scale, size):
    images = np.rint((thumbnails(3, *size) + 1) * 127.5).astype("uint8")
    found = large.upscale(images, scale, seed=1, batch_size=2, verbose=0)
    assert found.dtype == np.uint8
    assert found.shape == (3, scale * size[0], scale * size[1], 3)
    back = reduced(found.astype("float64"), scale)
    assert psnr(back, images, 255) >= 45
    plain = images.repeat(scale, axis=1).repeat(scale, axis=2)
    assert np.abs(found.astype("int32") - plain).mean() > 1


def test_the_scale_is_taken_under_its_old_name(large):
    images = thumbnails(1, 4, 4).astype("float32")
    draw = {"seed": 1, "num_steps": 2, "verbose": 0}
    with pytest.warns(DeprecationWarning, match="`scale=4`.*Received: ") as got:
        found = large.upscale(images, factor=4, **draw)
    assert got[0].filename == __file__
    expected = large.upscale(images, scale=4, **draw)
    np.testing.assert_array_equal(found, expected)


def test_detail_does_not_leave_the_range(large):
    images = (0.98 * np.sign(thumbnails(3, 8, 8))).astype("float32")
    kwargs = {"seed": 1, "verbose": 0, "dtype": "float32"}
    for scale in (2, 4):
        found = large.upscale(images, scale, **kwargs)
        assert np.abs(found).max() <= 1
        back = reduced(found.astype("float64"), scale)
        assert psnr(back, images, 2) >= 45


def test_upscaled_detail_is_a_function_of_the_seed(large):
    images = thumbnails(3, 6, 6).astype("float32")
    kwargs = {"verbose": 0, "dtype": "float32"}
    found = [
        large.upscale(images, 2, seed=seed, batch_size=size, **kwargs)
        for seed, size in ((1, 3), (1, 2), (2, 3), (None, 3))
    ]
    np.testing.assert_allclose(found[0], found[1], 0, 1e-5)
    for other in found[2:]:
        assert np.abs(other - found[0]).mean() > 1e-3
    back = reduced(found[0].astype("float64"), 2)
    assert psnr(back, images, 2) >= 45


def test_upscaling_is_what_the_details_are_learned_for(large):
    # From an image's own thumbnail and details, one level up.
    image = thumbnails(2, 16, 16).astype("float32")
    _, _, conditions = large.pyramid.analyze(image)
    noise = keras.ops.convert_to_tensor(large.draw_noise(2, 3)["detail_1"])
    detail = large.details[0].sample({"start": noise}, conditions[0], 1)
    expected = large.pyramid.reconstruct(conditions[0], detail, 1)
    expected = keras.ops.convert_to_numpy(expected).clip(-1, 1)
    small = reduced(image, 2)
    found = large.upscale(small, 2, seed=3, verbose=0, dtype="float32")
    np.testing.assert_allclose(found, expected, 0, 1e-4)


def test_sizes_are_padded_to_what_the_networks_take(golden):
    images = 0.5 * wave((2, 5, 3, 3))
    assert golden.details[0].size_multiple == 2
    found = golden.upscale(images, 2, seed=0, verbose=0, dtype="float32")
    assert found.shape == (2, 10, 6, 3)
    assert psnr(reduced(found.astype("float64"), 2), images, 2) >= 45


def test_a_generator_without_noise_upscales():
    inputs = {"condition": keras.Input((None, None, 1), name="condition")}
    outputs = keras.layers.Conv2D(3, 1)(inputs["condition"])
    details = factors.AdversarialFactor(
        keras.Model(inputs, outputs), tiny.critic(4)
    )
    quiet = tiny.model(1, details)
    quiet.adapt(tiny.IMAGES)
    first, second = (
        quiet.upscale(tiny.PIXELS[:3], 2, seed=seed, verbose=0)
        for seed in (1, 2)
    )
    assert first.shape == (3, 16, 16, 1)
    np.testing.assert_array_equal(first, second)
