import errno
import json
import os
import time

import numpy as np

from keras_wmgm.callbacks import HistoryFile
from keras_wmgm.callbacks.going_on import going_on
from tests.models import tiny

FIT = {"x": tiny.PIXELS, "batch_size": 4, "verbose": 0}


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_epoch_is_a_line_of_what_fit_reports(tmp_path):
    path = tmp_path / "new" / "history.jsonl"
    model = tiny.compiled(tiny.model(), "sgd")
    history = HistoryFile(path)
    first = model.fit(
        epochs=2, factors="coarse", callbacks=[history], **FIT
    ).history
    model.fit(
        initial_epoch=2, epochs=3, factors="detail", callbacks=[history], **FIT
    )
    lines = read(path)
    assert [line["epoch"] for line in lines] == [1, 2, 3]
    for name, values in first.items():
        found = [line[name] for line in lines[:2]]
        np.testing.assert_allclose(found, values, 1e-4)
    assert "detail_loss" in lines[2] and "coarse_loss" not in lines[2]


def test_seconds_are_those_of_training_only(tmp_path, monkeypatch):
    now = [50.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    history = HistoryFile(tmp_path / "history.jsonl")
    for epoch, (pause, length) in enumerate([(3, 10), (100, 20)]):
        now[0] += pause
        history.on_epoch_begin(epoch)
        now[0] += length
        history.on_epoch_end(epoch, {"loss": np.float32(1 / 3)})
    assert read(history.path) == [
        {"epoch": 1, "seconds": 10.0, "loss": 0.33333},
        {"epoch": 2, "seconds": 30.0, "loss": 0.33333},
    ]


def test_lines_that_cannot_be_written_are_written_when_there_is_room(
    tmp_path, monkeypatch
):
    told = []
    history = HistoryFile(tmp_path / "history.jsonl", told.append)
    opened = type(history.path).open

    def full(self, *args, **kwargs):
        with opened(self, *args, **kwargs) as file:
            file.write('{"half of a li')
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for epoch in range(3):
        history.on_epoch_begin(epoch)
        with monkeypatch.context() as patch:
            if epoch == 1:
                patch.setattr(type(history.path), "open", full)
            history.on_epoch_end(epoch, {})
    assert [line["epoch"] for line in read(history.path)] == [1, 2, 3]
    (line,) = told
    assert str(history.path) in line and "No space left on device" in line


def test_half_of_a_line_costs_no_other(tmp_path):
    path = tmp_path / "history.jsonl"
    path.write_text('{"epoch": 1}\n{"epo')
    history = HistoryFile(path)
    for epoch in (1, 2):
        history.on_epoch_begin(epoch)
        history.on_epoch_end(epoch, {})
    first, half, *lines = path.read_text().splitlines()
    assert (first, half) == ('{"epoch": 1}', '{"epo')
    assert [json.loads(line)["epoch"] for line in lines] == [2, 3]


def test_an_error_without_a_number_is_told_too(tmp_path):
    told = []
    with going_on(told.append, tmp_path / "a.png"):
        raise OSError("encoder error -2")
    assert told == [
        f"{tmp_path / 'a.png'} cannot be written, and training goes on: "
        "encoder error -2"
    ]
