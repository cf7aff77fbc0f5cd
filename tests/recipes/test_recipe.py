import copy
import json

import pytest

from keras_wmgm import recipes

VALUES = {
    "description": "cats",
    "seed": 4,
    "precision": "mixed_bfloat16",
    "data": {"source": "cats.zip", "image_size": 8, "flip": True},
    "model": {"class": "WMGM", "num_levels": 1, "details": {"kind": "gan"}},
    "optimizers": {"coarse": {"class": "Adam", "decay": "cosine"}},
    "stages": [
        {"factors": ["coarse"], "steps": 100, "batch_size": 64},
        {"batch_size": 16},
    ],
    "distill": [],
}
TOML = """
description = "cats"
seed = 4
precision = "mixed_bfloat16"
[data]
source = "cats.zip"
image_size = 8
flip = true
[model]
class = "WMGM"
num_levels = 1
details = { kind = "gan" }
[optimizers.coarse]
class = "Adam"
decay = "cosine"
[[stages]]
factors = "coarse"
steps = 100
batch_size = 64
[[stages]]
batch_size = 16
"""


def test_a_file_is_read(tmp_path):
    (tmp_path / "recipe.toml").write_text(TOML)
    recipe = recipes.read_recipe(tmp_path / "recipe.toml")
    assert recipe.to_dict() == VALUES
    assert recipe == recipes.Recipe.from_dict(copy.deepcopy(VALUES))
    assert recipe.stages[0] == recipes.Stage(["coarse"], None, 100, 64)


def test_a_dictionary_gives_the_recipe_back():
    recipe = recipes.Recipe.from_dict(copy.deepcopy(VALUES))
    values = json.loads(json.dumps(recipe.to_dict()))
    assert recipes.Recipe.from_dict(values) == recipe


def test_what_is_left_out():
    values = {"data": {"image_size": 8}, "model": {}}
    recipe = recipes.Recipe.from_dict(values)
    assert recipe.to_dict() == {
        "description": "",
        "seed": 0,
        "precision": "float32",
        "data": {"image_size": 8},
        "model": {"class": "WSGM"},
        "optimizers": {},
        "stages": [{"batch_size": 32}],
        "distill": [],
    }


@pytest.mark.parametrize(
    "path, value, text",
    [
        ("sed", 1, "Did you mean 'seed'"),
        ("seed", -1, "`seed` must be a whole number of at least 0"),
        ("precision", "float16", "`precision` must be one of 'float32'"),
        ("data", 3, r"\[data\] must be a table"),
        ("data.size", 3, "`data.size` must be one of"),
        ("data.image_size", "8", "`image_size` must be a whole number"),
        ("model", [], r"\[model\] must be a table"),
        ("model.klass", 3, "Did you mean 'class'"),
        ("model.class", "WMGN", "Did you mean 'WMGM'"),
        ("optimizers", "Adam", r"\[optimizers\] must be a table"),
        ("optimizers.coarse", "Adam", r"\[optimizers.coarse\] must be a table"),
        ("stages", [], "at least one stage"),
        ("stages", {"epochs": 3}, r"\[stages\] must be a table"),
        ("stages", [{"epoch": 3}], "Did you mean 'epochs'"),
        ("stages", [{"epochs": 0}], "`epochs` must be a whole number"),
        ("stages", [{"steps": 1.5}], "`steps` must be a whole number"),
        ("stages", [{"batch_size": 0}], "`batch_size` must be a whole"),
        ("stages", [{"minutes": 0}], "`minutes` must be a number in"),
        ("stages", [{"epochs": 1, "steps": 1}], "epochs=1, steps=1"),
        ("stages", [{"steps": 1, "minutes": 1}], "steps=1, minutes=1"),
        ("stages", [{}, {"epochs": 1}], "Every stage but the last, and each"),
    ],
)
def test_what_is_no_recipe_is_refused(path, value, text):
    values = copy.deepcopy(VALUES)
    table, _, key = path.rpartition(".")
    (values[table] if table else values)[key] = value
    with pytest.raises(ValueError, match=text):
        recipes.Recipe.from_dict(values)


@pytest.mark.parametrize("name", ["data", "model"])
def test_data_and_model_are_needed(name):
    values = {key: value for key, value in VALUES.items() if key != name}
    with pytest.raises(ValueError, match=rf"needs \[{name}\].*Received: "):
        recipes.Recipe.from_dict(values)


@pytest.mark.parametrize(
    "stage, images, per_epoch, epochs",
    [
        ({"epochs": 3, "batch_size": 4}, 10, 2, 3),
        ({"steps": 5, "batch_size": 4}, 10, 2, 3),
        ({"steps": 6, "batch_size": 4}, 10, 2, 3),
        ({"steps": 5, "batch_size": 64}, 10, 1, 5),
        ({"minutes": 5}, 64, 2, None),
        ({}, 64, 2, None),
    ],
)
def test_stages_last_for_whole_epochs(stage, images, per_epoch, epochs):
    stage = recipes.Stage(**stage)
    assert stage.steps_per_epoch(images) == per_epoch
    assert stage.num_epochs(images) == epochs


def test_a_run_tells_what_it_is(tmp_path):
    recipe = recipes.Recipe.from_dict(copy.deepcopy(VALUES))
    folder = tmp_path / "new" / "run"
    recipes.start_run(folder, recipe, data="cats")
    assert [path.name for path in folder.iterdir()] == ["run.json"]
    assert recipes.read_run(folder) == (recipe, {"data": "cats"})
    with pytest.raises(FileExistsError, match="holds a run.*Received: "):
        recipes.start_run(folder, recipe)


def test_paths_may_begin_at_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))  # Windows
    (tmp_path / "recipe.toml").write_text(TOML)
    recipe = recipes.read_recipe("~/recipe.toml")
    recipes.start_run("~/run", recipe, data="~/photos")
    assert (tmp_path / "run" / "run.json").is_file()
    assert recipes.read_run("~/run") == (recipe, {"data": "~/photos"})
    recipes.write_run("~/run", recipe, data="elsewhere")
    assert recipes.read_run("~/run")[1] == {"data": "elsewhere"}
