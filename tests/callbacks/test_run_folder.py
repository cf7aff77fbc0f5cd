import os
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_wmgm.callbacks import RunFolder
from keras_wmgm.callbacks import load_run
from keras_wmgm.factors import AdversarialFactor
from keras_wmgm.networks import DetailCritic
from tests.callbacks import interrupted
from tests.models import tiny

ROOT = Path(__file__).parents[2]
TOLERANCE = 1e-6
"""A backend may add in another order from run to run."""


def everything(model):
    """Return all that makes up the state of a training run."""
    return {
        **tiny.weights(model),
        **{f"{k} moments": v for k, v in tiny.moments(model).items()},
    }


@pytest.fixture(scope="module")
def unbroken():
    model = interrupted.make()
    return interrupted.train(model), model


def assert_same_end(history, model, unbroken):
    expected, other = unbroken
    assert history.keys() == expected.keys()
    for name, values in history.items():
        np.testing.assert_allclose(
            values, expected[name][-len(values) :], TOLERANCE, TOLERANCE
        )
    assert model.averaged and other.averaged
    assert model.epochs_trained == other.epochs_trained == interrupted.EPOCHS
    for averaged in (True, False):
        model.use_average(averaged)
        other.use_average(averaged)
        tiny.assert_equal(everything(model), everything(other), TOLERANCE)
    other.use_average(True)
    for a, e in zip(*map(tiny.random_states, (model, other)), strict=True):
        np.testing.assert_array_equal(tiny.copy(a), tiny.copy(e))


def test_a_killed_run_goes_on_as_if_it_had_not_been(tmp_path, unbroken):
    command = [sys.executable, "-m", interrupted.__name__, str(tmp_path)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == -signal.SIGKILL, run.stderr
    model = load_run(tmp_path)
    done = interrupted.DONE
    assert model.epochs_trained == done and model.averaged
    folder = RunFolder(tmp_path)
    history = interrupted.train(model, [folder], initial_epoch=done)
    assert len(history["loss"]) == interrupted.EPOCHS - done
    assert_same_end(history, model, unbroken)
    assert load_run(tmp_path).epochs_trained == interrupted.EPOCHS


def test_a_saved_model_goes_on_as_the_one_that_was_saved(tmp_path, unbroken):
    model = interrupted.make()
    model.fit(tiny.PIXELS, batch_size=4, epochs=3, verbose=0)
    model.save(tmp_path / "model.keras")
    twin = keras.saving.load_model(tmp_path / "model.keras")
    assert twin.averaged and twin.epochs_trained == 3
    tiny.assert_equal(everything(twin), everything(model))
    history = interrupted.train(twin, initial_epoch=3)
    assert_same_end(history, twin, unbroken)


def test_a_critics_dropout_goes_on_too(tmp_path):
    critic = DetailCritic(4, filters=(4,), normalization=None, dropout=0.5)
    factor = AdversarialFactor(tiny.generator(1), critic)
    model = tiny.compiled(tiny.model(details=factor), "sgd")
    fit = {"batch_size": 8, "verbose": 0}
    model.fit(tiny.IMAGES, factors="critic", **fit)
    model.save(tmp_path / "model.keras")
    twin = keras.saving.load_model(tmp_path / "model.keras")
    for made in (model, twin):
        made.fit(tiny.IMAGES, initial_epoch=1, epochs=2, **fit)
    tiny.assert_equal(tiny.weights(twin), tiny.weights(model), TOLERANCE)


def test_a_run_killed_while_it_is_saved_leaves_the_last_whole_one(
    tmp_path, monkeypatch
):
    model = interrupted.make()
    folder = RunFolder(tmp_path)
    folder.set_model(model)
    model.epochs_trained = 1
    folder.on_epoch_end(0)
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()

    def save(path):
        Path(path).write_bytes(whole[:1000])
        raise KeyboardInterrupt

    monkeypatch.setattr(model, "save", save)
    model.epochs_trained = 2
    with pytest.raises(KeyboardInterrupt):
        folder.on_epoch_end(1)
    assert file.read_bytes() == whole
    assert load_run(tmp_path).epochs_trained == 1


def test_a_run_is_saved_every_few_epochs_and_at_the_end(tmp_path, monkeypatch):
    saved = []
    replace = os.replace

    def record(source, target):
        saved.append(model.epochs_trained)
        replace(source, target)

    model = interrupted.make()
    monkeypatch.setattr(os, "replace", record)
    folder = RunFolder(tmp_path / "new" / "folder", every=2)
    model.fit(
        tiny.PIXELS, batch_size=16, epochs=5, verbose=0, callbacks=[folder]
    )
    assert saved == [2, 4, 5]
    assert load_run(tmp_path / "new" / "folder").epochs_trained == 5


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="run.keras.*Received: "):
        load_run(tmp_path)


def test_a_run_that_cannot_be_read_is_refused(tmp_path):
    (tmp_path / "run.keras").write_bytes(b"no archive")
    with pytest.raises(ValueError, match="cannot be read.*Received: "):
        load_run(tmp_path)


@pytest.mark.parametrize("every", [0, -1, 1.5])
def test_epochs_between_saves_are_whole_and_positive(tmp_path, every):
    with pytest.raises(ValueError, match=f"`every`.*Received: every={every}"):
        RunFolder(tmp_path, every=every)
