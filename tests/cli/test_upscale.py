import numpy as np
import pytest
from PIL import Image

import keras_wmgm
from tests.callbacks.held import held
from tests.cli.command import content
from tests.cli.command import ok
from tests.cli.command import photographs
from tests.cli.command import pixels
from tests.cli.command import refused

QUICK = ("--num-steps", 2)


@pytest.fixture
def enlarge(preset):
    """Run `upscale` with the tiny preset."""
    return lambda *args: ok("upscale", "--preset", preset, *QUICK, *args)


def upscaled(preset, path, scale=2, seed=0):
    return keras_wmgm.from_preset(preset).upscale(
        pixels(path)[None], scale, seed=seed, num_steps=2, verbose=0
    )[0]


@pytest.mark.each
@pytest.mark.parametrize("scale", [2, 4])
def test_a_file_is_what_the_model_upscales(
    enlarge, preset, photos, tmp_path, scale
):
    output = tmp_path / "new" / "large.png"
    args = ("--scale", scale, "--seed", 6)
    said = enlarge(photos / "1.png", output, *args)
    assert said.endswith(f"1 images, {scale} times as large: {output}\n")
    large = pixels(output)
    expected = upscaled(preset, photos / "1.png", scale, 6)
    np.testing.assert_array_equal(large, expected)
    assert large.shape == (8 * scale, 8 * scale, 3)
    # What was there is there, where no detail was cut off.
    blocks = large.reshape(8, scale, 8, scale, 3)
    inside = ((blocks > 0) & (blocks < 255)).all((1, 3))
    error = blocks.mean((1, 3)) - pixels(photos / "1.png")
    assert inside.mean() > 0.05
    assert np.abs(error[inside]).max() <= 1


def test_the_old_option_is_taken_and_hidden(enlarge, photos, tmp_path):
    for name, args in {
        "old": ("--factor", 4),
        "new": ("--scale", 4),
        "both": ("--scale", 4, "--factor", 2),
    }.items():
        enlarge(photos / "1.png", tmp_path / f"{name}.png", *args)
    files = content(tmp_path)
    assert files["old.png"] == files["new.png"] == files["both.png"]
    assert pixels(tmp_path / "old.png").shape == (32, 32, 3)
    said = ok("upscale", "--help")
    assert "--scale" in said and "--factor" not in said


def test_any_size_and_mode_is_enlarged(enlarge, tmp_path):
    Image.new("L", (5, 7), 100).save(tmp_path / "grey.png")
    enlarge(tmp_path / "grey.png", tmp_path / "large")
    assert pixels(tmp_path / "large" / "grey.png").shape == (14, 10, 3)


def test_a_folder_is_enlarged_with_those_within(enlarge, preset, tmp_path):
    source = photographs(tmp_path / "in", 1)
    photographs(source / "b" / "c", 1, size=6)
    (source / "notes.txt").write_text("no image")
    Image.open(source / "0.png").save(source / "1.bmp")
    enlarge(source, tmp_path / "out")
    files = content(tmp_path / "out")
    assert sorted(files) == ["0.png", "1.png", "b/c/0.png"]
    assert files["0.png"] == files["1.png"]
    for name in ("0.png", "b/c/0.png"):
        np.testing.assert_array_equal(
            pixels(tmp_path / "out" / name), upscaled(preset, source / name)
        )


def test_what_is_there_is_left_as_it_is(enlarge, tmp_path):
    source = photographs(tmp_path / "in", 2)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "0.png").write_bytes(b"dear")
    enlarge(source, tmp_path / "out")
    files = content(tmp_path / "out")
    assert files["0.png"] == b"dear" and files["1.png"] != b"dear"
    enlarge(source, tmp_path / "out", "--overwrite")
    assert pixels(tmp_path / "out" / "0.png").shape == (16, 16, 3)
    assert content(tmp_path / "out")["1.png"] == files["1.png"]


def test_another_seed_draws_another_detail(enlarge, photos, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        output = tmp_path / f"{name}.png"
        enlarge(photos / "0.png", output, "--seed", seed)
    files = content(tmp_path)
    assert files["a.png"] == files["b.png"] != files["c.png"]


def test_a_corrupt_image_costs_no_other(preset, tmp_path):
    source = photographs(tmp_path / "in", 2)
    (source / "1.png").write_bytes(b"no image")
    args = ("upscale", "--preset", preset, *QUICK, source, tmp_path / "out")
    line = refused(*args)
    assert "cannot be read" in line and line.endswith(str(source / "1.png"))
    assert list(content(tmp_path / "out")) == ["0.png"]


@pytest.mark.parametrize(
    "source, target, text",
    [
        ("none.png", "out.png", "no such image"),
        ("in", "out.png", "need a folder"),
        ("in/0.png", "out.txt", "chooses its format"),
        ("in/0.png", "in/1.png", "The output exists"),
        ("in", "in", "within the folder"),
        ("in", "in/large", "within the folder"),
        ("empty", "out", "no image in the folder"),
        ("twice", "out", "differ in their endings only"),
        ("in/0.png", "n" * 300 + ".png", "File name too long"),
        ("in", "n" * 300, "File name too long"),
        ("in", "/dev/null", "a file of that name"),
    ],
)
def test_what_cannot_be_enlarged_is_refused(
    preset, tmp_path, source, target, text
):
    photographs(tmp_path / "in", 2)
    twice = photographs(tmp_path / "twice", 1)
    Image.open(twice / "0.png").save(twice / "0.bmp")
    (tmp_path / "empty").mkdir()
    before = content(tmp_path)
    source, target = tmp_path / source, tmp_path / target
    assert text in refused("upscale", "--preset", preset, source, target)
    assert content(tmp_path) == before


def test_a_scale_beyond_the_levels_is_refused(preset, photos, tmp_path):
    output = tmp_path / "large.png"
    args = ("upscale", "--preset", preset, photos / "0.png", output)
    assert "`scale` must be one of 2, 4" in refused(*args, "--scale", 8)
    assert content(tmp_path) == {}


def test_a_folder_that_another_command_fills_is_refused(
    preset, photos, tmp_path
):
    with held(tmp_path):
        line = refused("upscale", "--preset", preset, photos, tmp_path)
    assert "Another process uses this folder" in line
    assert content(tmp_path) == {}
