"""Bad inputs: one line that says what is wrong, and nothing lost."""

import io
import resource
import shutil
import sys
import zipfile
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

from tests.cli.command import content
from tests.cli.command import ok
from tests.cli.command import photographs
from tests.cli.command import pixels
from tests.cli.command import refused
from tests.cli.command import run
from tests.models import tiny

NEW = "--output new"
TRAIN = f"train --data photos --image-size 8 {NEW}"
FROM = f"train --data photos {NEW} --init-from preset"
GENERATE = "generate --preset preset --num-images 1 --num-steps 1"

REFUSED = {
    # What cannot be learned from.
    f"train {NEW}": "A new run needs --data",
    "train --data photos": "A new run needs --output",
    f"train --data none {NEW}": "from a folder or a zip file, and there is",
    f"train --data empty {NEW}": "There is no image here",
    f"train --data empty.zip {NEW}": "There is no image here",
    f"train --data photos.zip:none {NEW}": "There is no image here",
    f"train --data none.zip:train {NEW}": "There is no zip file",
    f"train --data cut.zip {NEW}": "this file is not a complete zip file",
    f"train --data text {NEW}": "this file is not a complete zip file",
    f"train --data corrupt --image-size 8 {NEW}": (
        "1 of 4 images cannot be used (cut.jpg: image file is truncated"
    ),
    f"train --data one --image-size 8 {NEW}": "More than one image is needed",
    f"train --data one --image-size 12 {NEW}": "8x8 pixels, smaller than 12x12",
    f"train --data one --image-size 12 --on-error skip {NEW}": (
        "1 of 1 images cannot be used"
    ),
    # Where no run can be kept.
    "train --data photos --output run": "go on with it: `keras-wmgm train",
    "train --data photos --output saved": "go on with it: `keras-wmgm train",
    "train --data photos --output text": "there is a file",
    "train --data photos --output text/new": "Not a directory",
    "train --data photos --output photos/new": "is within the folder",
    "train --data photos --output photos": "is within the folder",
    "train --data . --output new": "is within the folder",
    # What cannot go on.
    "train --resume none": "The folder has no run.json",
    "train --resume run": "run.json cannot be read",
    "train --resume run --data photos --seed 1 --model wmgm": ("Received: --"),
    # Recipes.
    f"{TRAIN} --recipe none.toml": "There is no such recipe",
    f"{TRAIN} --recipe text": "The recipe is not a TOML file",
    f"{TRAIN} --recipe key.toml": "Did you mean 'stages'?",
    f"{TRAIN} --recipe good.toml --epochs 3": "Received: --recipe and --epochs",
    f"{TRAIN} --recipe good.toml --num-levels 2": "--recipe and --num-levels",
    f"{TRAIN} --recipe optimizer.toml": "does not describe an optimizer",
    f"{TRAIN} --recipe role.toml": "Did you mean 'coarse'?",
    f"{TRAIN} --recipe network.toml": "[coarse] does not fit `ScoreUNet`",
    # Models.
    f"{TRAIN} --factors coarse,detial": "Did you mean 'detail'?",
    f"{TRAIN} --num-levels 4": "multiple of 16. The nearest that fit: 16",
    f"{TRAIN} --model hybrid": "'hybrid' is not one of 'wmgm', 'wsgm'",
    f"{FROM} --image-size 8": "Received: --init-from and --image-size",
    f"{FROM} --channels 1 --model wmgm": "Received: --init-from and --channels",
    f"{TRAIN} --epochs 0": "0 is not in the range x>=1",
    f"{TRAIN} --minutes 0": "0.0 is not in the range x>0",
    # Presets.
    f"train --data photos {NEW} --init-from none": "A preset is one of",
    "generate --preset paper_wmgm_12": "Did you mean 'paper_wmgm_128'",
    "generate --preset none/ --output new/": "A preset is one of",
    "generate --preset paper_wmgm_128": "There are no weights for this preset",
    "generate --preset empty": "A preset folder has a config.json, and there",
    "generate --preset broken --output new/": "config.json is not readable",
    # Where nothing can be drawn to.
    f"{GENERATE} --output grid.png": "replace it with --overwrite",
    f"{GENERATE} --output text/": "a file of that name",
    f"{GENERATE} --output text/grid.png": "Not a directory",
    f"{GENERATE} --output new.txt": "chooses its format",
    f"{GENERATE} --output new.psd": "chooses its format",
    f"{GENERATE} --output photos": "were not drawn by this command",
    f"{GENERATE} --output folder.png": "end its name with / to fill it",
    f"{GENERATE} --output unread": "generate.json cannot be read",
    f"{GENERATE} --num-images 0": "0 is not in the range x>=1",
    f"{GENERATE} --sampler ddpm": "'ddpm' is not one of 'euler_maruyama'",
    "genrate": "No such command 'genrate'",
}

RECIPE = """
[data]
image_size = 8
[model]
class = "MultiscaleModel"
num_levels = 0
[model.coarse]
network = { filters = [4] }
"""
RECIPES = {
    "good": RECIPE,
    "key": RECIPE + "[[stage]]\nepochs = 3",
    "optimizer": RECIPE + "[optimizers.coarse]\nclass = 'Adamant'",
    "role": RECIPE + "[optimizers.corse]\nclass = 'Adam'",
    "network": RECIPE.replace("filters", "filtres"),
}


@pytest.fixture(scope="module")
def bad(preset, tmp_path_factory):
    """A folder of all that is wrong."""
    place = tmp_path_factory.mktemp("bad")
    shutil.copytree(preset, place / "preset")
    photographs(place / "photos", 4)
    photographs(place / "one", 1)
    photographs(place / "corrupt", 3)
    jpeg = io.BytesIO()
    Image.effect_noise((64, 64), 80).save(jpeg, "JPEG")
    (place / "corrupt" / "cut.jpg").write_bytes(jpeg.getvalue()[:-600])
    for name in ("empty", "folder.png", "run", "saved", "unread", "broken"):
        (place / name).mkdir()
    zipfile.ZipFile(place / "empty.zip", "w").close()
    shutil.make_archive(place / "photos", "zip", place / "photos")
    whole = (place / "photos.zip").read_bytes()
    (place / "cut.zip").write_bytes(whole[: len(whole) // 2])
    (place / "text").write_text("neither image nor recipe\n")
    (place / "grid.png").write_bytes(b"dear")
    (place / "run" / "run.json").write_text("{}")
    (place / "saved" / "run.keras").write_bytes(b"dear")
    (place / "unread" / "generate.json").write_text('{"preset": ')
    (place / "broken" / "config.json").write_text("{")
    for name, recipe in RECIPES.items():
        (place / f"{name}.toml").write_text(recipe)
    return place


@pytest.mark.parametrize("command", REFUSED)
def test_bad_input_is_refused_in_one_line(bad, monkeypatch, command):
    monkeypatch.chdir(bad)
    before = content(bad)
    assert REFUSED[command] in refused(*command.split())
    assert content(bad) == before


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
@pytest.mark.parametrize(
    "command",
    [
        "generate --preset preset --output /proc/new/",
        "generate --preset preset --output /proc/new.png",
        "train --data photos --output /proc/new",
        "upscale photos /proc/new --preset preset",
        "upscale photos/0.png /proc/new/0.png --preset preset",
    ],
)
def test_a_folder_that_cannot_be_written_to_is_refused(
    bad, monkeypatch, command
):
    monkeypatch.chdir(bad)
    assert "/proc" in refused(*command.split())


FILES = pytest.mark.skipif(
    tiny.BACKEND == "jax", reason="would leave halves of files in JAX's cache"
)


@contextmanager
def full_disk(size):
    """Let no file of this process grow beyond so many bytes."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@FILES
def test_a_full_disk_leaves_no_half_of_a_picture(bad, monkeypatch, tmp_path):
    monkeypatch.chdir(bad)
    (tmp_path / "old.png").write_bytes(b"dear")
    draw = GENERATE.split()
    for output in ("old.png", "new.png"):
        args = (*draw, "--output", tmp_path / output, "--overwrite")
        with full_disk(100):
            assert "File too large" in refused(*args)
        assert content(tmp_path) == {"old.png": b"dear"}
    ok(*args)
    assert pixels(tmp_path / "new.png").shape == (8, 8, 3)


@FILES
def test_a_full_disk_leaves_no_half_of_an_image(bad, monkeypatch, tmp_path):
    monkeypatch.chdir(bad)
    args = (*GENERATE.split(), "--output", tmp_path / "folder")
    with full_disk(100):
        assert "File too large" in refused(*args)
    assert content(tmp_path) == {}
    with full_disk(200):  # enough for what is written beside the images
        assert "File too large" in refused(*args)
    ok(*args)
    assert len(content(tmp_path)) == 2


@FILES
def test_a_full_disk_leaves_no_half_of_a_run(bad, monkeypatch, tmp_path):
    monkeypatch.chdir(bad)
    args = ("--recipe", "good.toml", "--minutes", 0.0001)
    with full_disk(2000):
        line = refused(*TRAIN.split()[:-1], tmp_path / "run", *args)
    assert "File too large" in line
    assert set(content(tmp_path)) == {"run/history.jsonl", "run/run.json"}
    said = ok("train", "--resume", tmp_path / "run", "--minutes", 0.0001)
    assert "Time is up" in said
    assert (tmp_path / "run" / "preset" / "config.json").is_file()


def test_where_an_error_arose_is_shown_if_asked(bad, monkeypatch):
    monkeypatch.chdir(bad)
    args = ("train", "--data", "none", "--output", "new")
    result = run("--traceback", *args)
    assert result.exit_code == 1
    assert type(result.exception) is FileNotFoundError
    last = result.exc_info[2]
    while last.tb_next:
        last = last.tb_next
    assert Path(last.tb_frame.f_code.co_filename).name == "sources.py"


def test_a_fault_of_ours_is_named_and_says_how_to_see_more(bad, monkeypatch):
    monkeypatch.chdir(bad)

    def fault(*args, **kwargs):
        raise KeyError("lost")

    monkeypatch.setattr("keras_wmgm.cli.generate.image_grid", fault)
    line = refused(*GENERATE.split(), "--output", "new.png")
    assert line == (
        "Error: KeyError: 'lost' (`keras-wmgm --traceback ...` shows where)"
    )
