"""Distilling a model by a recipe, in Python."""

import json
import tomllib

import keras
import numpy as np
import pytest

import keras_wmgm
from keras_wmgm import recipes
from keras_wmgm.models import wsgm
from tests.helpers import wave
from tests.models import tiny

DATA = {"image_size": 16, "channels": 1}
IMAGES = np.rint(127.5 + 100 * wave((8, 16, 16, 1))).astype("uint8")
TOML = """
[data]
image_size = 16
[model]
num_levels = 2
[[stages]]
minutes = 3
[[distill]]
factors = "detail_2"
steps = 300
batch_size = 8
[[distill]]
factors = ["detail_1"]
minutes = 5
"""


def guided(**kwargs):
    return tiny.diffusion(guide=tiny.score(1), guidance=1.5, **kwargs)


def detail():
    return tiny.diffusion(3, condition=1)


def teacher(coarse=None, details=None, **kwargs):
    """Return a model of two levels, with random weights and statistics."""
    details = [detail(), detail()] if details is None else details
    coarse = coarse or tiny.diffusion()
    made = keras_wmgm.WSGM((16, 16, 1), 2, coarse, details, **kwargs)
    made.adapt(IMAGES)
    return made


@pytest.fixture(scope="module")
def preset(tmp_path_factory):
    """The preset of a teacher with a guide."""
    keras.utils.set_random_seed(5)
    folder = tmp_path_factory.mktemp("presets") / "teacher"
    teacher(guided()).save_to_preset(folder)
    return folder


def student(preset, *stages, data=None, **values):
    """Return the recipe of a model that has this teacher."""
    model = {"class": "WMGM", "teacher": str(preset)}
    return recipes.Recipe.from_dict(
        {
            "data": data or dict(DATA),
            "model": model,
            "stages": list(stages) or [{}],
            **values,
        }
    )


def told(stages):
    return [(*stage.factors, stage.minutes, stage.epochs) for stage in stages]


# The stages


def test_details_are_distilled_from_the_coarsest():
    stages = recipes.distill_stages(teacher(), minutes=6)
    assert told(stages) == [("detail_2", 2.0, None), ("detail_1", 4.0, None)]
    stages = recipes.distill_stages(teacher(), epochs=7, batch_size=5)
    assert told(stages) == [("detail_2", None, 7), ("detail_1", None, 7)]
    # They start from the teacher, not from each other.
    assert {(s.batch_size, s.start_from) for s in stages} == {(5, None)}


def test_a_coarse_factor_is_distilled_if_it_has_a_guide():
    stages = recipes.distill_stages(teacher(guided()), minutes=8)
    minutes = [("coarse", 2.0), ("detail_2", 2.0), ("detail_1", 4.0)]
    assert told(stages) == [(name, m, None) for name, m in minutes]
    unused = tiny.diffusion(guide=tiny.score(1))  # at a guidance of 1
    stages = recipes.distill_stages(teacher(unused), epochs=1)
    assert told(stages) == [("detail_2", None, 1), ("detail_1", None, 1)]
    # A guide of details helps their teacher, and is no stage of its own.
    helped = tiny.diffusion(3, 1, guide=tiny.score(3, 1), guidance=1.5)
    stages = recipes.distill_stages(teacher(None, [helped, detail()]), epochs=1)
    assert told(stages) == [("detail_2", None, 1), ("detail_1", None, 1)]


def test_details_that_are_shared_are_one_stage():
    stages = recipes.distill_stages(teacher(details=detail()), minutes=6)
    assert told(stages) == [("detail", 6.0, None)]


@pytest.mark.parametrize(
    "model, text",
    [
        (lambda: tiny.model(0), "with no details"),
        (lambda: tiny.model(1), "with AdversarialFactor"),
        (lambda: tiny.mixed(), "with AdversarialFactor"),
        (lambda: tiny.score(1), "must be a trained `WSGM`"),
        (
            lambda: keras_wmgm.WMGM.from_teacher(teacher()),
            "with DistilledFactor, DistilledFactor",
        ),
    ],
)
def test_what_cannot_be_distilled_is_refused(model, text):
    with pytest.raises(ValueError, match=f"Received: .*{text}|{text}.*Receiv"):
        recipes.distill_stages(model(), epochs=1)


@pytest.mark.parametrize("ends", [{}, {"minutes": 3, "epochs": 3}])
def test_an_end_is_needed(ends):
    with pytest.raises(ValueError, match="or for `epochs`.*Received: "):
        recipes.distill_stages(teacher(), **ends)


# The recipe


def test_a_file_has_the_stages_that_follow(tmp_path):
    (tmp_path / "recipe.toml").write_text(TOML)
    recipe = recipes.read_recipe(tmp_path / "recipe.toml")
    assert recipe.stages == [recipes.Stage(minutes=3)]
    assert recipe.distill == [
        recipes.Stage(["detail_2"], steps=300, batch_size=8),
        recipes.Stage(["detail_1"], minutes=5),
    ]
    values = json.loads(json.dumps(recipe.to_dict()))
    assert recipes.Recipe.from_dict(values) == recipe


def test_a_distillation_is_a_recipe_of_its_own():
    recipe = recipes.Recipe.from_dict(
        {
            **tomllib.loads(TOML),
            "description": "cats",
            "seed": 4,
            "precision": "mixed_bfloat16",
            "optimizers": {"guide": {"class": "Adam"}},
        }
    )
    before = recipe.to_dict()
    made = recipes.distillation(recipe, "run/teacher")
    assert made.to_dict() == {
        "description": "cats",
        "seed": 4,
        "precision": "mixed_bfloat16",
        "data": before["data"],
        "model": {"class": "WMGM", "teacher": "run/teacher"},
        "optimizers": {},
        "stages": before["distill"],
        "distill": [],
    }
    assert recipe.to_dict() == before


@pytest.mark.parametrize("name", ["HybridWMGM", "WSGM"])
def test_a_hybrid_is_a_wsgm(name, tmp_path, monkeypatch):
    text = TOML.replace("[model]", f'[model]\nclass = "{name}"')
    (tmp_path / "recipe.toml").write_text(text)
    recipe = recipes.read_recipe(tmp_path / "recipe.toml")
    assert recipe.model == {"class": "WSGM", "num_levels": 2}
    run_json = {"recipe": {**recipe.to_dict(), "model": {"class": name}}}
    del run_json["recipe"]["distill"]  # which the first version did not know
    (tmp_path / "run.json").write_text(json.dumps(run_json))
    read, _ = recipes.read_run(tmp_path)
    assert read.model == {"class": "WSGM"} and read.distill == []
    monkeypatch.setattr(wsgm, "coarse_diffusion", tiny.diffusion)
    monkeypatch.setattr(wsgm, "detail_diffusion", lambda _: detail())
    recipe.data["channels"] = 1
    assert type(recipes.build_model(recipe)) is keras_wmgm.WSGM


@pytest.mark.parametrize(
    "change, text",
    [
        ({"model": {"num_levels": 2}}, "class='WMGM', num_levels"),
        ({"model": {"coarse": {}, "details": []}}, "='WMGM', coarse, details"),
        ({"model": {"class": "WSGM"}}, "class='WSGM', teacher"),
        ({"model": {"class": "HybridWMGM"}}, "class='WSGM', teacher"),
        ({"model": {"techer": "a"}}, "Did you mean 'teacher'"),
        ({"distil": []}, "Did you mean 'distill'"),
        ({"distill": [{"epoch": 1}]}, "Did you mean 'epochs'"),
        ({"distill": [{"factors": "coarse"}]}, "Every stage but the last"),
        ({"distill": [{"epochs": 1, "steps": 1}]}, "epochs=1, steps=1"),
    ],
)
def test_what_is_no_recipe_is_refused(change, text):
    values = student("a").to_dict()
    model = {**values["model"], **change.pop("model", {})}
    with pytest.raises(ValueError, match=text):
        recipes.Recipe.from_dict({**values, "model": model, **change})


# The model


def test_a_model_is_made_from_its_teacher(preset):
    recipe = student(preset, seed=6)
    recipe.model["name"] = "fast"
    made, source = recipes.build_model(recipe), keras_wmgm.from_preset(preset)
    assert type(made) is keras_wmgm.WMGM
    assert (made.name, made.seed) == ("fast", 6)
    assert (made.image_shape, made.num_levels) == ((16, 16, 1), 2)
    assert (source.network_calls(8), made.network_calls(8)) == (32, 10)
    found, expected = tiny.weights(made), tiny.weights(source)
    for name in ("coarse", "detail_1", "detail_2", "pyramid"):
        tiny.assert_equal({name: found[name]}, {name: expected[name]})


@pytest.mark.parametrize(
    "data, text",
    [
        ({"image_size": 8, "channels": 1}, r"16, 1\). Received: \(8, 8, 1"),
        ({"image_size": 16, "channels": 3}, r"16, 1\). Received: \(16, 16, 3"),
    ],
)
def test_images_unlike_the_teacher_s_are_refused(preset, data, text):
    with pytest.raises(ValueError, match=text):
        recipes.build_model(student(preset, data=data))


def test_a_student_is_no_teacher(preset, tmp_path):
    recipes.build_model(student(preset)).save_to_preset(tmp_path / "student")
    with pytest.raises(ValueError, match="with DistilledFactor, DistilledFac"):
        recipes.build_model(student(tmp_path / "student"))


def test_a_start_from_what_is_not_there_is_refused(preset):
    stage = {"factors": ["detail_1"], "epochs": 1, "start_from": "detail_7"}
    with pytest.raises(ValueError, match="`start_from` must name a factor"):
        recipes.build_model(student(preset, stage))


def test_every_network_that_learns_has_its_optimizer(preset):
    """Also the scores of what is drawn, which are made as training begins."""
    stage = {"epochs": 2, "batch_size": 4}
    tables = {"fake": {"learning_rate": 0.5}, "fake_1": {"decay": "none"}}
    recipe = student(preset, stage, optimizers=tables)
    model = recipes.build_model(recipe)
    made = recipes.build_optimizers(recipe, model, len(IMAGES))
    model.compile(made)
    names = {
        "coarse",
        *(f"{n}_{k}" for n in ("detail", "fake") for k in (1, 2)),
    }
    assert set(made) == set(model.optimizer.by_role) == names
    rates = made["fake_2"]._learning_rate  # falls over its four steps
    assert [float(rates(n)) for n in (0, 4)] == pytest.approx([0.5, 0.01])
    assert float(made["fake_1"].learning_rate) == 0.5


def test_the_stages_move_what_they_name(preset):
    names = ("coarse", "detail_2", "detail_1")
    stages = [{"factors": [n], "epochs": 1, "batch_size": 4} for n in names]
    recipe = student(preset, *stages)
    model = recipes.build_model(recipe)
    model.compile(recipes.build_optimizers(recipe, model, len(IMAGES)))
    seen, before = [], [tiny.weights(model)]

    class Log(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            now = tiny.weights(self.model)
            moved = tiny.moved(now, before[0])
            losses = {n for n in logs if n.endswith("_loss")}
            seen.append((moved, losses, set(logs) - losses - {"loss"}))
            before[0] = now

    assert recipes.train(model, recipe, IMAGES, [Log()])
    assert seen[0] == ({"coarse"}, {"coarse_loss"}, {"std_ratio_coarse"})
    for k, found in zip((2, 1), seen[1:], strict=True):
        roles = {f"detail_{k}", f"fake_{k}"}
        losses = {f"{role}_loss" for role in roles}
        assert found == (roles, losses, {f"std_ratio_{k}", f"spread_{k}"})
