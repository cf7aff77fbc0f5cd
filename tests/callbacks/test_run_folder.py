import errno
import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from keras.src.saving import saving_lib

from keras_wmgm.callbacks import RunFolder
from keras_wmgm.callbacks import load_run
from keras_wmgm.factors import AdversarialFactor
from keras_wmgm.networks import DetailCritic
from keras_wmgm.utils.lock import FolderLock
from tests.callbacks import interrupted
from tests.callbacks.held import held
from tests.callbacks.held import is_free
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


@pytest.mark.each
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


@pytest.mark.each
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


@pytest.fixture
def saved(tmp_path):
    """A callback that has saved a run of one epoch, and the file."""
    folder = RunFolder(tmp_path)
    folder.set_model(interrupted.make())
    folder.model.epochs_trained = 1
    folder.on_epoch_end(0)
    folder.model.epochs_trained = 2
    yield folder, tmp_path / "run.keras"
    folder.lock.release()


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_a_run_killed_while_it_is_saved_leaves_the_last_whole_one(
    saved, monkeypatch, function
):
    def kill(*args):
        raise KeyboardInterrupt

    folder, file = saved
    whole = file.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(os, function, kill)
        with pytest.raises(KeyboardInterrupt):
            folder.on_epoch_end(1)
    assert file.read_bytes() == whole
    assert set(os.listdir(file.parent)) == {"run.keras", "run.lock"}
    assert load_run(file.parent).epochs_trained == 1


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_a_full_disk_keeps_the_last_run_and_says_so(
    saved, monkeypatch, function
):
    def fail(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    folder, file = saved
    whole = file.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(os, function, fail)
        with pytest.raises(OSError, match="run.keras cannot.*is kept") as error:
            folder.on_epoch_end(1)
    assert error.value.errno == errno.ENOSPC
    assert str(error.value).endswith(f"Received: {file}")
    assert file.read_bytes() == whole
    assert set(os.listdir(file.parent)) == {"run.keras", "run.lock"}


def test_no_file_of_hdf5s_own_is_on_the_disk(saved, monkeypatch):
    """HDF5 can crash where a disk is full, however little memory there is."""
    folder, file = saved
    opened = []
    make = h5py.File.__init__

    def record(self, name, *args, **kwargs):
        opened.append(name)
        make(self, name, *args, **kwargs)

    monkeypatch.setattr(saving_lib, "is_memory_sufficient", lambda model: False)
    monkeypatch.setattr(h5py.File, "__init__", record)
    folder.save()
    assert opened and all(isinstance(name, io.BytesIO) for name in opened)
    assert load_run(file.parent).epochs_trained == 2


def spoil_weights(model):
    variable = model.networks["coarse"].weights[0]
    variable.assign(variable * np.nan)


def spoil_moments(model):
    variable = model.optimizer.by_role["coarse"].variables[-1]
    variable.assign(variable + np.inf)


@pytest.mark.parametrize("spoil", [spoil_weights, spoil_moments])
def test_a_run_that_has_failed_does_not_replace_a_good_one(saved, spoil):
    folder, file = saved
    whole = file.read_bytes()
    spoil(folder.model)
    with pytest.raises(ValueError, match="is kept.*Received: 1 arrays.*'.*'"):
        folder.on_epoch_end(1)
    assert file.read_bytes() == whole


class Spoil(keras.callbacks.Callback):
    """Makes a weight NaN after the last step of an epoch."""

    def on_epoch_end(self, epoch, logs=None):
        kernel = self.model.trainable_variables[0]
        kernel.assign(np.full(kernel.shape, np.nan, "float32"))


@pytest.mark.parametrize("weights_only", [False, True])
def test_no_checkpoint_holds_weights_that_are_not_finite(
    tmp_path, weights_only
):
    ending = ".weights.h5" if weights_only else ".keras"
    path = tmp_path / f"model{ending}"
    path.write_bytes(b"dear")
    checkpoint = keras.callbacks.ModelCheckpoint(
        path, save_weights_only=weights_only
    )
    model = tiny.compiled(tiny.model(0), "sgd")
    callbacks = [Spoil(), checkpoint]
    with pytest.raises(ValueError, match="needs weights that are finite"):
        model.fit(tiny.PIXELS, batch_size=4, verbose=0, callbacks=callbacks)
    assert path.read_bytes() == b"dear"


def test_a_second_run_in_a_folder_is_refused_until_the_first_is_dead(tmp_path):
    folder = RunFolder(tmp_path)
    folder.set_model(interrupted.make())
    with held(tmp_path) as other:
        for begin in (folder.save, folder.on_train_begin):
            with pytest.raises(BlockingIOError, match="Another.*Received: "):
                begin()
        assert os.listdir(tmp_path) == ["run.lock"]
        other.kill()
        other.wait()
        folder.on_train_begin()
    folder.save()
    folder.on_train_end()
    assert is_free(tmp_path)
    assert set(os.listdir(tmp_path)) == {"run.keras", "run.lock"}


def test_a_folder_may_begin_at_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = RunFolder("~/run")
    folder.set_model(interrupted.make())
    folder.save()
    assert folder.folder == tmp_path / "run"
    assert not load_run("~/run").epochs_trained


def test_a_home_that_is_nobody_s_is_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    RunFolder("~nobody-of-this-name")
    assert os.listdir(tmp_path) == ["~nobody-of-this-name"]


def test_one_process_may_take_a_folder_twice(tmp_path):
    first, second = FolderLock(tmp_path), FolderLock(tmp_path)
    first.acquire()
    second.acquire()
    second.release()
    assert not is_free(tmp_path)
    first.release()
    assert is_free(tmp_path)


def test_a_lock_file_that_cannot_be_removed_holds_nothing(
    tmp_path, monkeypatch
):
    def refuse(*args, **kwargs):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    lock = FolderLock(tmp_path)
    lock.acquire()
    for where in (os, Path):
        monkeypatch.setattr(where, "unlink", refuse)
    lock.release()
    assert is_free(tmp_path)


def test_a_lock_that_fails_to_go_raises_nothing(tmp_path, monkeypatch):
    lock = FolderLock(tmp_path)
    lock.acquire()

    def refuse(force):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(lock.lock, "release", refuse)
        lock.release()
    assert not lock.held
    lock.lock.release()


def test_a_fit_that_failed_does_not_hold_the_folder_after_the_next(tmp_path):
    def begin():
        folder = RunFolder(tmp_path)
        folder.on_train_begin()
        return folder

    failed, following = begin(), begin()
    assert failed.lock.held is False
    assert not is_free(tmp_path)
    following.on_train_end()
    assert is_free(tmp_path)


def test_the_end_of_a_fit_leaves_the_lock_around_it(tmp_path):
    with FolderLock(tmp_path):
        folder = RunFolder(tmp_path)
        folder.on_train_begin()
        folder.on_train_end()
        assert not is_free(tmp_path)
    assert is_free(tmp_path)


def test_a_folder_that_cannot_be_locked_is_used_all_the_same(
    tmp_path, monkeypatch
):
    def refuse(*args):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", refuse)
    folder = RunFolder(tmp_path)
    folder.set_model(interrupted.make())
    folder.save()
    folder.on_train_end()
    assert (tmp_path / "run.keras").is_file()


def test_what_killed_processes_left_is_removed_in_the_end(tmp_path):
    old, new, mine = (
        tmp_path / name
        for name in (".new.0123abcd.a", ".new.0123abce.a", ".new.a")
    )
    for path in (old, new, mine):
        path.write_bytes(b"half")
    for path in (old, mine):
        os.utime(path, (0, 0))
    (tmp_path / ".new.run.keras").write_bytes(b"of an earlier version")
    RunFolder(tmp_path).on_train_begin()
    assert not (tmp_path / ".new.run.keras").exists()
    assert not old.exists() and new.exists() and mine.exists()


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
