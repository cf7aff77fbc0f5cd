"""To the Hub and back, through the real client."""

import io
import shutil

import numpy as np
import pytest
import yaml
from huggingface_hub import constants
from PIL import Image

import keras_wmgm
from keras_wmgm import presets
from tests.hub.server import TOKEN
from tests.models import tiny

DRAW = {"num_steps": 2, "seed": 5, "verbose": 0}


@pytest.fixture(scope="module")
def model():
    model = tiny.mixed()
    model.adapt(tiny.IMAGES)
    return model


def content(hub, name, repo="me/tiny"):
    """Return a file of the newest commit."""
    file = hub.commits(repo)[-1]["files"][name]
    return hub.blob(repo, file["sha256"]).read_bytes()


def test_what_is_uploaded_draws_the_same(hub, cache, model, capsys):
    handle = model.upload_to_hub("me/tiny", token=TOKEN)
    commit = hub.commits("me/tiny")[-1]["sha"]
    assert handle == f"hf://me/tiny@{commit}"
    assert f'from_preset("{handle}")' in capsys.readouterr().out
    loaded = keras_wmgm.from_preset(handle, cache_dir=cache)
    np.testing.assert_array_equal(
        loaded.generate(2, **DRAW), model.generate(2, **DRAW)
    )


def test_all_files_arrive_in_one_commit(hub, model):
    model.upload_to_hub("me/tiny", token=TOKEN, samples=4)
    made, uploaded = hub.commits("me/tiny")
    assert not made["files"]
    assert sorted(uploaded["files"]) == [
        "README.md",
        "config.json",
        "metadata.json",
        "model.weights.h5",
        "samples.png",
    ]


def test_a_card_says_what_a_stranger_needs(hub, model):
    metadata = {
        "license": "cc0-1.0",
        "data": "waves in closed form",
        "recipe": "zoo/tiny/recipe.toml",
        "metrics": {"frechet_distance": 12.5},
    }
    model.upload_to_hub("me/tiny", token=TOKEN, metadata=metadata)
    _, header, text = content(hub, "README.md").decode().split("---\n", 2)
    header = yaml.safe_load(header)
    assert header["library_name"] == "keras_wmgm"
    assert header["license"] == "cc0-1.0"
    assert header["metrics"] == ["frechet_distance"]
    assert "image-generation" in header["tags"]
    for part in (
        'from_preset("hf://me/tiny")',
        "![samples](samples.png)",
        "waves in closed form",
        "zoo/tiny/recipe.toml",
        "| frechet_distance | 12.5 |",
        "for images of 8x8x1",
        "## Limits",
    ):
        assert part in text, part


def test_the_grid_shows_what_the_preset_draws(hub, model, cache):
    handle = model.upload_to_hub("me/tiny", token=TOKEN, samples=4)
    grid = np.array(Image.open(io.BytesIO(content(hub, "samples.png"))))
    assert grid.shape == (16, 16)
    loaded = keras_wmgm.from_preset(handle, cache_dir=cache)
    drawn = loaded.generate(4, seed=0, verbose=0)[..., 0]
    np.testing.assert_array_equal(grid[8:, :8], drawn[2])


def test_a_card_that_is_there_is_left_alone(hub, model, preset, tmp_path):
    folder = shutil.copytree(preset, tmp_path / "mine")
    (folder / "README.md").write_text("My own words.")
    hub.add("me/tiny", folder)
    model.upload_to_hub("me/tiny", token=TOKEN)
    assert content(hub, "README.md") == b"My own words."
    assert "samples.png" not in hub.commits("me/tiny")[-1]["files"]


def test_the_authors_own_card_goes_with_the_preset(hub, preset, tmp_path):
    folder = shutil.copytree(preset, tmp_path / "mine")
    card = b"Mine. ![](samples.png)"
    own = {"README.md": card, "LICENSE": b"CC0", "samples.png": b"png"}
    others = {"notes.txt": b"not for others", "other.png": b"not shown"}
    for name, text in {**own, **others}.items():
        (folder / name).write_bytes(text)
    (folder / "metrics.json").mkdir()
    presets.upload(folder, "me/tiny", token=TOKEN)
    assert {name: content(hub, name) for name in own} == own
    sent = set(hub.commits("me/tiny")[-1]["files"])
    assert sent == {*own, *(path.name for path in preset.iterdir())}


def test_what_a_card_links_to_elsewhere_is_not_sent(hub, preset, tmp_path):
    folder = shutil.copytree(preset, tmp_path / "theirs")
    (tmp_path / "secret").write_text("token")
    (folder / "README.md").write_text("A card.")
    (folder / "LICENSE").symlink_to(tmp_path / "secret")
    with pytest.raises(ValueError, match="not a link out of it"):
        presets.upload(folder, "me/tiny", token=TOKEN)
    assert not hub.requests


def test_the_card_of_another_folder(hub, preset, tmp_path):
    (tmp_path / "README.md").write_text("From elsewhere.")
    presets.upload(preset, "me/tiny", token=TOKEN, card=tmp_path)
    assert content(hub, "README.md") == b"From elsewhere."
    with pytest.raises(FileNotFoundError, match="a folder with a README.md"):
        presets.upload(preset, "me/tiny", token=TOKEN, card=preset)


def test_a_card_that_somebody_adds_meanwhile_is_left_alone(
    hub, preset, tmp_path
):
    folder = shutil.copytree(preset, tmp_path / "theirs")
    (folder / "README.md").write_text("I was first.")
    hub.rival = lambda: hub.add("me/tiny", folder)
    presets.upload(preset, "me/tiny", token=TOKEN, samples=0)
    assert content(hub, "README.md") == b"I was first."
    assert len(hub.commits("me/tiny")) == 3


def test_a_private_repository_stays_private(hub, model, cache):
    handle = model.upload_to_hub("me/tiny", private=True, token=TOKEN)
    with pytest.raises(PermissionError, match="asks for a token"):
        keras_wmgm.from_preset(handle, cache_dir=cache)
    options = {"cache_dir": cache, "token": TOKEN}
    assert keras_wmgm.from_preset(handle, **options).adapted


def test_half_precision_comes_back_bit_exact(hub, model, cache, tmp_path):
    handle = model.upload_to_hub("me/tiny", token=TOKEN, dtype="float16")
    model.save_to_preset(tmp_path / "half", dtype="float16")
    tiny.assert_equal(
        tiny.weights(keras_wmgm.from_preset(handle, cache_dir=cache)),
        tiny.weights(keras_wmgm.from_preset(tmp_path / "half")),
    )


def broken(folder):
    (folder / "config.json").write_text("{}")


def untouched(folder):
    """Leave a folder as it is."""


REFUSALS = {
    "no token": ({}, {}, untouched, PermissionError, "asks for a token"),
    "no right": (
        {"token": TOKEN},
        {"/api/repos": 403, "/api/models": 403},
        untouched,
        PermissionError,
        "Your token may not",
    ),
    "out of order": (
        {"token": TOKEN},
        {"/commit/": 500},
        untouched,
        ConnectionError,
        "out of order",
    ),
    "no repository's name": (
        {"repo_id": "tiny", "token": TOKEN},
        {},
        untouched,
        ValueError,
        "written org/name",
    ),
    "no preset": ({"token": TOKEN}, {}, broken, ValueError, "another library"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_an_upload_that_fails_leaves_nothing_behind(
    name, hub, preset, tmp_path
):
    kwargs, hub.faults, spoil, error, text = REFUSALS[name]
    folder = shutil.copytree(preset, tmp_path / "folder")
    spoil(folder)
    with pytest.raises(error, match=f"{text}.*Received: "):
        presets.upload(folder, **{"repo_id": "me/tiny", **kwargs})
    commits = (hub.folder / "me/tiny/commits.jsonl").exists()
    assert not commits or len(hub.commits("me/tiny")) == 1


def test_a_hub_without_xet_is_told_how_to(hub, preset, monkeypatch):
    pytest.importorskip("hf_xet")
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", False)
    with pytest.raises(ConnectionError, match="needs HF_HUB_DISABLE_XET=1"):
        presets.upload(preset, "me/tiny", token=TOKEN)


def test_without_a_hub_an_upload_says_so(preset):
    with pytest.raises(ConnectionError, match="Nothing was uploaded"):
        presets.upload(preset, "me/tiny", token=TOKEN)


def test_a_model_without_statistics_is_not_uploaded(hub):
    with pytest.raises(ValueError, match="adapt"):
        tiny.mixed().upload_to_hub("me/tiny", token=TOKEN)
    assert not hub.requests
