"""The commands whose tables are published, run whole on a tiny preset."""

import zipfile

import keras
import numpy as np
import pytest

import keras_wmgm
from benchmarks import guidance
from benchmarks import origins
from benchmarks import quality
from benchmarks import scales
from benchmarks.squeezenet import SqueezeNet
from benchmarks.squeezenet import frechet_distance
from tests.cli.command import photographs
from tests.models import tiny

COUNT, STEPS = 6, 2


def guided(channels, condition=0):
    guide = tiny.score(channels, condition)
    return tiny.diffusion(channels, condition, guide=guide, guidance=1.5)


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """A preset with guides, and a zip file with train/ and test/."""
    folder = tmp_path_factory.mktemp("commands")
    files = sorted(photographs(folder / "photos", count=10).iterdir())
    with zipfile.ZipFile(folder / "data.zip", "w") as file:
        for i, path in enumerate(files):
            split = "test" if i % 2 else "train"
            file.write(path, f"{split}/{path.name}")
    keras.utils.set_random_seed(0)
    model = keras_wmgm.MultiscaleModel((8, 8, 3), 1, guided(3), [guided(9, 3)])
    model.adapt(keras_wmgm.data.load_images(f"{folder}/data.zip:train", 8))
    model.save_to_preset(folder / "preset")
    return str(folder / "preset"), str(folder / "data.zip")


@pytest.fixture
def run(paths, weights, capsys):
    """Return a function that runs a command and returns its lines."""

    def run(command, *args, features=True, count=COUNT):
        preset, data = paths
        given = {"preset": preset, "data": data, "num-images": count}
        given["num-steps"] = STEPS
        if features:
            given["features"] = weights
        flags = [f"--{key}={value}" for key, value in given.items()]
        command.main([*flags, *args])
        return capsys.readouterr().out.splitlines()

    return run


def cells(line):
    return line.strip("| ").split(" | ")


def distance(cell):
    return float(cell.replace(",", ""))


def images_of(paths, split):
    return keras_wmgm.data.load_images(f"{paths[1]}:{split}", 8)


def test_quality_is_the_distance_of_what_the_preset_draws(paths, run, weights):
    *_, last, empty, rest = run(quality, "--yardsticks=1")
    assert empty == "" and rest.startswith("precision ")
    model = keras_wmgm.from_preset(paths[0])
    drawn = model.generate(COUNT, STEPS, seed=0, verbose=0)
    network = SqueezeNet(weights)
    real = network(images_of(paths, "train"))
    expected = frechet_distance(real, network(drawn))
    what, found = cells(last)
    assert what == "6 images, 2 steps of dpm_solver_2m, 8 network calls each"
    np.testing.assert_allclose(distance(found), expected, 1e-3, 1)


def test_a_row_of_strengths_is_that_of_a_preset_with_them(paths, run, tmp_path):
    *_, own, alone = run(guidance, "--set=coarse=1.5", "--set=all=1")
    *_, hot = run(guidance, "--set=all=1", "--temperature=detail_1=3")
    assert cells(own)[:2] == ["1.5", "1.5"] and cells(alone)[:2] == ["1", "1"]
    *_, last, _, _ = run(quality, "--yardsticks=0")
    assert cells(own)[2] == cells(last)[1]
    # Without guides, and hotter.
    model = keras_wmgm.from_preset(paths[0])
    for factor in model.factors.values():
        factor.guidance = 1.0
    model.details[0].temperature = 3.0
    model.save_to_preset(tmp_path / "hot")
    *_, last, _, _ = run(
        quality, "--yardsticks=0", f"--preset={tmp_path / 'hot'}"
    )
    assert cells(hot)[2] == cells(last)[1] != cells(alone)[2]
    assert float(cells(hot)[-1]) > float(cells(alone)[-1])


def test_spreads_by_level_and_band(paths, run):
    rows = [cells(line) for line in run(scales, features=False)[-3:]]
    assert [row[1] for row in rows] == ["cH", "cV", "cD"]
    model = keras_wmgm.from_preset(paths[0])
    held_out = images_of(paths, "test")
    drawn = model.generate(COUNT, STEPS, seed=0, verbose=0)
    bands = [scales.whitened(model, x)[0][0] for x in (drawn, held_out)]
    ratios = np.divide(*map(scales.band_stds, bands))
    found = [float(row[3]) for row in rows]
    np.testing.assert_allclose(found, ratios, atol=0.006)


def test_true_draws_have_the_right_spread_everywhere(paths, monkeypatch):
    """Details of the photographs' own law, upon any condition."""
    model = keras_wmgm.from_preset(paths[0])
    images = np.random.default_rng(0).integers(0, 256, (400, 8, 8, 3))
    images = images.astype("uint8")
    h = scales.whitened(model, images)[0][0]

    def draw(self, condition, seed):
        return np.random.default_rng(seed).permutation(h)

    monkeypatch.setattr(scales.Drawing, "draw", draw)
    ((k, real, own, r),) = scales.rows(model, images, images[::-1], STEPS)
    assert k == 1
    np.testing.assert_allclose([*real, *own], 1.0, 1e-5)
    np.testing.assert_allclose(r, 1.0, atol=0.01)
    monkeypatch.setattr(scales.Drawing, "draw", lambda *args, **kwargs: 2 * h)
    ((_, real, _, r),) = scales.rows(model, images, images, STEPS)
    np.testing.assert_allclose(real, 2.0, 1e-5)
    assert r == 0


def test_origins_begin_with_the_photographs(paths, run, weights, capsys):
    rows = [cells(line) for line in run(origins, count=3)[3:]]
    assert [name for name, _ in rows] == [
        "photographs",
        "details of level 1 drawn",
        "and the coarse band",
    ]
    images, network = images_of(paths, "train"), SqueezeNet(weights)
    images = images[np.random.default_rng(0).permutation(len(images))]
    expected = frechet_distance(network(images[3:]), network(images[:3]))
    np.testing.assert_allclose(distance(rows[0][1]), expected, 1e-3, 1)
    with pytest.raises(SystemExit):
        run(origins, count=len(images))
    assert "must leave some of 5 photographs" in capsys.readouterr().err
