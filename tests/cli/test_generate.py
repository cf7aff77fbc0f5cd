import hashlib
import importlib
import json
import shutil

import numpy as np
import pytest

import keras_wmgm
from keras_wmgm.presets.folder import preset_config
from tests.callbacks.held import held
from tests.callbacks.held import is_free
from tests.cli.command import content
from tests.cli.command import ok
from tests.cli.command import pixels
from tests.cli.command import refused
from tests.cli.command import run
from tests.models import tiny

QUICK = ("--num-steps", 2)
generate_module = importlib.import_module("keras_wmgm.cli.generate")


@pytest.fixture
def draw(preset):
    """Run `generate` with the tiny preset."""
    return lambda *args: ok("generate", "--preset", preset, *QUICK, *args)


@pytest.fixture(scope="module")
def five(preset, tmp_path_factory):
    """A folder of five images, drawn two at a time."""
    folder = tmp_path_factory.mktemp("drawn") / "five"
    args = ("--num-images", 5, "--batch-size", 2, "--output", folder)
    ok("generate", "--preset", preset, *QUICK, *args)
    return folder


@pytest.mark.each
def test_a_grid_is_what_the_model_generates(draw, preset, tmp_path):
    args = ("--num-images", 5, "--seed", 3, "--sampler", "ddim")
    said = draw(*args, "--output", tmp_path / "new" / "grid.png")
    assert said == (
        f"5 images of {preset}, seed 3: {tmp_path / 'new' / 'grid.png'}\n"
    )
    drawn = keras_wmgm.from_preset(preset).generate(
        5, num_steps=2, sampler="ddim", seed=3, verbose=0
    )
    grid = pixels(tmp_path / "new" / "grid.png")
    assert grid.shape == (16, 24, 3)
    cells = grid.reshape(2, 8, 3, 8, 3).swapaxes(1, 2).reshape(6, 8, 8, 3)
    np.testing.assert_array_equal(cells[:5], drawn)
    assert np.all(cells[5] == 255)
    assert drawn.std() > 10


def test_each_factor_may_have_its_own_steps(preset, tmp_path):
    model = keras_wmgm.from_preset(preset)
    stepping = [f for f in model.factors.values() if f.takes_steps]
    steps = list(range(1, 1 + len(stepping)))
    given = ",".join(map(str, steps))
    output = tmp_path / "drawn.png"
    args = ("--preset", preset, "--num-images", 1, "--output", output)
    ok("generate", *args, "--num-steps", given)
    drawn = model.generate(1, num_steps=steps, seed=0, verbose=0)
    np.testing.assert_array_equal(pixels(output), drawn[0])


def test_the_same_seed_draws_the_same_file(draw, tmp_path):
    for name, seed in (("a", 4), ("b", 4), ("c", 5)):
        output = tmp_path / f"{name}.png"
        draw("--num-images", 2, "--seed", seed, "--output", output)
    files = content(tmp_path)
    assert files["a.png"] == files["b.png"] != files["c.png"]


def test_columns_and_format_are_as_asked(draw, tmp_path):
    output = tmp_path / "row.bmp"
    draw("--num-images", 3, "--columns", 3, "--output", output)
    assert pixels(output).shape == (8, 24, 3)
    assert output.read_bytes().startswith(b"BM")


def test_a_picture_is_replaced_only_if_asked(draw, preset, tmp_path):
    output = tmp_path / "a.png"
    output.write_bytes(b"dear")
    args = ("generate", "--preset", preset, *QUICK, "--output", output)
    assert "exists" in refused(*args)
    assert content(tmp_path) == {"a.png": b"dear"}
    ok(*args, "--num-images", 1, "--overwrite")
    assert pixels(output).shape == (8, 8, 3)


def test_a_folder_holds_one_file_each(five, preset):
    names = [f"{i:06d}.png" for i in range(5)]
    assert sorted(content(five)) == [*names, "generate.json"]
    drawn = keras_wmgm.from_preset(preset).generate(
        5, num_steps=2, seed=0, verbose=0
    )
    found = [pixels(five / name) for name in names]
    # In other batches, a backend may round otherwise.
    assert np.abs(np.int32(found) - drawn).max() <= 1


def test_an_interrupted_folder_goes_on(draw, five, tmp_path):
    folder = shutil.copytree(five, tmp_path / "folder")
    (folder / "000001.png").unlink()
    (folder / "000004.png").unlink()
    (folder / "000000.png").write_bytes(b"touched by its owner")
    args = ("--num-images", 5, "--batch-size", 2, "--output", folder)
    draw(*args)
    expected = {**content(five), "000000.png": b"touched by its owner"}
    assert content(folder) == expected


def test_a_run_that_is_interrupted_leaves_whole_files(
    preset, five, tmp_path, monkeypatch
):
    generate = keras_wmgm.MultiscaleModel.generate

    def interrupted(self, *args, start, **kwargs):
        if start == 2:
            raise KeyboardInterrupt
        return generate(self, *args, start=start, **kwargs)

    args = ("generate", "--preset", preset, *QUICK, "--num-images", 5)
    args += ("--batch-size", 2, "--output", tmp_path / "folder/")
    with monkeypatch.context() as patch:
        patch.setattr(keras_wmgm.MultiscaleModel, "generate", interrupted)
        result = run(*args)
    assert result.exit_code == 1 and "Aborted!" in result.stderr
    begun = ["000000.png", "000001.png", "generate.json"]
    assert sorted(content(tmp_path / "folder")) == begun
    ok(*args)
    assert content(tmp_path / "folder") == content(five)


def test_more_images_add_to_fewer(draw, five, tmp_path):
    folder = tmp_path / "folder"
    for count in (3, 5):
        draw("--num-images", count, "--batch-size", 2, "--output", folder)
    assert content(folder) == content(five)


def test_nothing_is_drawn_again(five, preset, monkeypatch):
    before = content(five)
    monkeypatch.setattr(keras_wmgm.MultiscaleModel, "generate", None)
    args = ("--num-images", 5, "--batch-size", 3, "--output", five)
    ok("generate", "--preset", preset, *QUICK, *args)
    assert content(five) == before


@pytest.mark.parametrize(
    "change",
    [("--seed", 1), ("--num-steps", 3), ("--sampler", "ddim")],
    ids=lambda change: change[0],
)
def test_images_drawn_otherwise_stay_apart(five, preset, change):
    before = content(five)
    args = ("generate", "--preset", preset, *QUICK, "--output", five, *change)
    assert "holds images drawn with other options" in refused(*args)
    assert content(five) == before


def test_images_of_a_preset_trained_further_stay_apart(five, preset, tmp_path):
    twin = shutil.copytree(preset, tmp_path / "preset")
    folder = tmp_path / "folder"
    args = ("generate", "--preset", twin, *QUICK, "--num-images", 1)
    ok(*args, "--output", folder)
    before = content(folder)
    model = keras_wmgm.from_preset(twin)
    kernel = model.networks["coarse"].trainable_variables[0]
    kernel.assign(kernel + 0.1)
    model.save_to_preset(twin)
    line = refused(*args, "--num-images", 2, "--output", folder)
    assert "holds images drawn with other options" in line
    assert content(folder) == before


def test_images_of_another_guidance_stay_apart(preset, tmp_path):
    """The same weights draw other pictures in another configuration."""
    twin = shutil.copytree(preset, tmp_path / "preset")
    folder = tmp_path / "folder"
    args = ("generate", "--preset", twin, *QUICK, "--output", folder)
    ok(*args, "--num-images", 1)
    path = twin / "config.json"
    text = path.read_text()
    assert '"temperature": 1.0' in text
    path.write_text(text.replace('"temperature": 1.0', '"temperature": 0.5'))
    line = refused(*args, "--num-images", 2)
    assert "holds images drawn with other options" in line


def test_a_folder_of_an_earlier_version_is_refused(preset, five, tmp_path):
    folder = shutil.copytree(five, tmp_path / "folder")
    facts = json.loads((folder / "generate.json").read_text())
    del facts["config"]
    (folder / "generate.json").write_text(json.dumps(facts))
    before = content(folder)
    args = ("generate", "--preset", preset, *QUICK, "--output", folder)
    assert "earlier version" in refused(*args, "--num-images", 6)
    assert content(folder) == before


@pytest.fixture(scope="module")
def transparent(tmp_path_factory):
    """A preset of four channels."""
    model = tiny.model(0, channels=4)
    model.pyramid.count.assign(1)
    folder = tmp_path_factory.mktemp("presets") / "transparent"
    model.save_to_preset(folder)
    return folder


LONG = "n" * 248


@pytest.mark.parametrize(
    "output, text",
    [
        (f"new/{LONG}.png", "File name too long"),
        (f"new/{LONG}{LONG}/a.png", "File name too long"),
        (f"new/{LONG}{LONG}/", "File name too long"),
        ("new/" * 1100 + "a.png", "File name too long"),
        ("device.png --overwrite", "something else of that name"),
        ("/dev/null", "a file of that name"),
        ("taken.png/", "a file of that name"),
        ("new/a.webp --columns 4000 --num-images 4000", "saved as WEBP"),
        ("new/a.jpg", "4 channels cannot be saved as JPEG"),
    ],
    ids=lambda text: text[-12:],
)
def test_a_name_that_cannot_be_written_is_refused_first(
    preset, transparent, tmp_path, monkeypatch, output, text
):
    """Before weights are read, and without a trace."""
    monkeypatch.setattr(generate_module, "from_preset", None)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken.png").write_bytes(b"dear")
    (tmp_path / "device.png").symlink_to("/dev/null")
    before = sorted(tmp_path.rglob("*"))
    source = transparent if ".jpg" in output else preset
    args = ("generate", "--preset", source, "--output", *output.split())
    assert text in refused(*args)
    assert sorted(tmp_path.rglob("*")) == before


def test_the_facts_beside_the_images_are_told(five, preset):
    facts = json.loads((five / "generate.json").read_text())
    digest = hashlib.sha256()
    model = keras_wmgm.from_preset(preset)
    for weight in model.weights:
        digest.update(tiny.copy(weight).tobytes())
    config = json.dumps(preset_config(model), sort_keys=True).encode()
    assert facts == {
        "sha256": digest.hexdigest(),
        "config": hashlib.sha256(config).hexdigest(),
        "num_steps": 2,
        "sampler": "dpm_solver_2m",
        "seed": 0,
    }


def test_a_folder_that_another_command_fills_is_refused(preset, tmp_path):
    args = ("generate", "--preset", preset, "--output", tmp_path)
    with held(tmp_path):
        assert "Another process uses this folder" in refused(*args)
        assert content(tmp_path) == {}
    ok(*args, *QUICK, "--num-images", 1)
    assert is_free(tmp_path)
    assert sorted(content(tmp_path)) == ["000000.png", "generate.json"]
