import keras
import numpy as np
import pytest

from keras_wmgm import WMGM
from keras_wmgm import WSGM
from keras_wmgm import recipes
from keras_wmgm.callbacks import TimeLimit
from tests.recipes.test_build import GAN
from tests.recipes.test_build import SCORE
from tests.recipes.test_build import make
from tests.recipes.test_transfer import model

GUIDED = {**SCORE, "guide": {"filters": [2]}, "guidance": 1.2}
IMAGES = np.random.default_rng(0).integers(0, 256, (16, 16, 16, 3), "uint8")


def told(stages, what="minutes"):
    return [(s.factors[0], getattr(s, what), s.start_from) for s in stages]


def test_details_follow_from_the_coarsest_and_begin_with_what_it_learned():
    stages = recipes.stages_in_turn(model(16, 3 * [SCORE]), minutes=10)
    assert told(stages) == [
        ("coarse", 2.0, None),
        ("detail_3", 2.0, None),
        ("detail_2", 2.0, "detail_3"),
        ("detail_1", 4.0, "detail_2"),
    ]


def test_networks_unlike_each_other_begin_from_nothing():
    made = model(16, [GAN, GAN, SCORE])
    stages = recipes.stages_in_turn(made, epochs=7, batch_size=5)
    assert told(stages, "epochs") == [
        ("coarse", 7, None),
        ("detail_3", 7, None),
        ("detail_2", 7, None),
        ("detail_1", 7, "detail_2"),
    ]
    assert {s.batch_size for s in stages} == {5}
    assert {s.minutes for s in stages} == {None}


def test_what_has_learned_keeps_its_weights_and_guides_come_last():
    made = model(8, [GUIDED, SCORE])
    stages = recipes.stages_in_turn(made, minutes=17, from_nothing=False)
    assert told(stages) == [
        ("coarse", 4.0, None),
        ("detail_2", 4.0, None),
        ("detail_1", 8.0, None),
        ("guide_1", 1.0, None),
    ]


def test_guides_of_a_shared_factor_are_one_stage():
    tables = {"coarse": GUIDED, "details": GUIDED, "num_levels": 2}
    made = recipes.build_model(make({"class": "MultiscaleModel", **tables}))
    stages = recipes.stages_in_turn(made, epochs=3)
    assert told(stages, "epochs") == [
        ("coarse", 3, None),
        ("detail", 3, None),
        ("guide", 3, None),
    ]
    assert made.trained_roles("guide") == ("guide_coarse", "guide")


def test_one_factor_of_all_levels_has_the_time_of_all():
    stages = recipes.stages_in_turn(WMGM((16, 16, 3), 2), minutes=8)
    assert told(stages) == [("coarse", 2.0, None), ("detail", 6.0, None)]


def test_some_factors_are_trained_in_that_order():
    made = model(16, 3 * [SCORE])
    stages = recipes.stages_in_turn(made, ["detail_1", "detail_2", "coarse"], 8)
    assert told(stages) == [
        ("coarse", 2.0, None),
        ("detail_2", 2.0, None),
        ("detail_1", 4.0, "detail_2"),
    ]
    stages = recipes.stages_in_turn(made, ["detail_3", "detail_1"], 3)
    assert [s.start_from for s in stages] == [None, None]


def test_a_factor_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="Did you mean 'detail_1'.*Received: "):
        recipes.stages_in_turn(model(16, [SCORE]), ["detail_0"], 3)


def test_one_name_will_do_and_an_end_is_needed():
    made = model(16, [SCORE])
    (stage,) = recipes.stages_in_turn(made, "detail_1", 3)
    assert (stage.factors, stage.minutes) == (["detail_1"], 3.0)
    for ends in ({}, {"minutes": 3, "epochs": 3}):
        with pytest.raises(ValueError, match="or for `epochs`.*Received: "):
            recipes.stages_in_turn(made, **ends)


def test_the_small_factors_begin_with_each_other():
    stages = recipes.stages_in_turn(WSGM((64, 64, 3), 3), minutes=5)
    starts = [stage.start_from for stage in stages]
    assert starts == [None, None, "detail_3", "detail_2"]


ENDS = {"coarse": 60 / 75, "detail_2": 60 / 75, "detail_1": 120 / 150}
"""How much of its time has passed as a factor's last epoch begins."""


class Clock(keras.callbacks.Callback):
    """Lets every epoch take half a minute, and keeps what was trained."""

    def __init__(self, clock, stop_after=None, rates=None):
        super().__init__()
        self.clock, self.stop_after, self.seen = clock, stop_after, []
        self.rates = {} if rates is None else rates

    def on_train_batch_begin(self, batch, logs=None):
        self.clock[0] += 30
        for role in self.model.optimizer.active:
            rate = self.model.optimizer.by_role[role].learning_rate
            self.rates[role] = float(keras.ops.convert_to_numpy(rate))

    def on_epoch_end(self, epoch, logs=None):
        (name,) = (n for n in logs if n.endswith("_loss"))
        self.seen.append(name.removesuffix("_loss"))
        # What a `RunFolder` in this place saves is whole.
        for optimizer in self.model.optimizer.by_role.values():
            assert float(optimizer.learning_rate) == pytest.approx(4e-3)
        self.model.stop_training |= len(self.seen) == self.stop_after


@pytest.fixture
def run(clock):
    """Return a function that trains for some minutes."""
    made = model(16, 2 * [SCORE])
    recipe = make()
    recipe.stages = recipes.stages_in_turn(made, minutes=5, batch_size=16)
    made.compile(recipes.build_optimizers(recipe, made, len(IMAGES)))

    def train(limit=None, **kwargs):
        log = Clock(clock, **kwargs)
        whole = recipes.train(made, recipe, IMAGES, [log], limit)
        return whole, log.seen

    return made, recipe, train


def test_a_stage_ends_after_its_minutes_and_the_next_begins(run):
    made, _, train = run
    rates = {}
    whole, seen = train(rates=rates)
    assert whole
    # 75, 75 and 150 seconds, which begin within their first epoch.
    assert seen == 4 * ["coarse"] + 4 * ["detail_2"] + 6 * ["detail_1"]
    # Each rate fell over the minutes of its stage, and is whole again.
    for role, optimizer in made.optimizer.by_role.items():
        share = 0.02 + 0.49 * (1 + np.cos(np.pi * ENDS[role]))
        assert rates[role] == pytest.approx(4e-3 * share, 1e-4)
        assert float(optimizer.learning_rate) == pytest.approx(4e-3)
    whole, again = train()
    assert whole and again == seen


def test_a_run_that_is_stopped_goes_no_further(run):
    _, _, train = run
    whole, seen = train(stop_after=2)
    assert not whole and seen == 2 * ["coarse"]


def test_the_time_of_the_whole_run_ends_it_too(run):
    _, _, train = run
    whole, seen = train(TimeLimit(minutes=2.2))
    assert not whole
    # 132 seconds; each stage begins with its share of what is left.
    assert seen == 3 * ["coarse"] + 2 * ["detail_2"] + ["detail_1"]


def test_details_begin_once_with_those_half_as_fine(run, monkeypatch):
    made, _, train = run
    started = []
    start = recipes.train.__globals__["start_from"]

    def start_and_tell(model, origin, name):
        start(model, origin, name)
        started.append((origin, name, made.epochs_trained))

    monkeypatch.setitem(recipes.train.__globals__, "start_from", start_and_tell)
    train()
    assert started == [("detail_2", "detail_1", 8)]
    train()
    assert len(started) == 1


def test_minutes_are_as_said_where_a_stage_without_them_follows(run):
    made, recipe, train = run
    recipe.stages = [
        recipes.Stage(["coarse"], batch_size=16, minutes=1),
        recipes.Stage(["detail_1"], batch_size=16),
    ]
    rates = {}
    whole, seen = train(TimeLimit(minutes=4), rates=rates)
    assert not whole
    assert seen == 3 * ["coarse"] + 6 * ["detail_1"]
    # The rate of what has no end follows the whole run, from its first epoch.
    share = 0.02 + 0.49 * (1 + np.cos(np.pi * (210 - 60) / (240 - 60)))
    assert rates["detail_1"] == pytest.approx(4e-3 * share, 1e-4)


def test_epochs_by_the_clock_are_short(run, monkeypatch):
    made, recipe, train = run
    monkeypatch.setitem(recipes.train.__globals__, "TIMED_STEPS", 1)
    recipe.stages = [
        recipes.Stage(["coarse"], epochs=1, batch_size=4),
        recipes.Stage(["coarse"], batch_size=4, minutes=1),
    ]
    before = made.optimizer.by_role["coarse"].iterations
    train()
    assert int(keras.ops.convert_to_numpy(before)) == 4 + 3
