import zipfile

import keras
import numpy as np
import pytest

from benchmarks import peer_packages
from benchmarks import peers
from tests.cli.command import photographs


def test_a_clock_begins_with_its_first_question(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(peer_packages.time, "perf_counter", lambda: now[0])
    clock = peer_packages.Clock(minutes=2)
    now[0] += 500
    answers = []
    for _ in range(4):
        answers.append((clock.passed, clock.is_up))
        now[0] += 50
    assert [up for _, up in answers] == [False, False, False, True]
    np.testing.assert_allclose([p for p, _ in answers], np.arange(4) * 50 / 120)


def test_batches_are_some_of_the_photographs_channels_first(tmp_path):
    folder = photographs(tmp_path / "photos", size=8)
    images = peers.keras_wmgm.data.load_images(folder, 8)
    known = [x.transpose(2, 0, 1) / 127.5 - 1 for x in images]
    known += [x[..., ::-1] for x in known]
    batch = next(peer_packages._batches(folder, 8))
    assert (
        batch.shape == (peer_packages.BATCH, 3, 8, 8)
        and batch.dtype == "float32"
    )
    for x in batch:
        assert min(np.abs(x - k).max() for k in known) < 1e-6


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="peers' own")
def test_the_row_of_a_peer(tmp_path, weights, capsys, monkeypatch):
    torch = pytest.importorskip("torch")
    folder = photographs(tmp_path / "photos", size=8)
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as file:
        for path in sorted(folder.rglob("*.*")):
            file.write(path, f"train/{path.name}")

    def grey(folder, size, clock):
        assert len(list(folder.iterdir())) > 2
        assert not clock.is_up
        network = torch.nn.Linear(1999, 1000)
        image = torch.full((60, 3, size, size), 0.5)
        return lambda count: image[:count], network, 1234

    monkeypatch.setitem(peers.PEERS, "diffusers", grey)
    arguments = {
        "peer": "diffusers",
        "minutes": 0.001,
        "data": tmp_path / "data.zip",
        "features": weights,
        "image-size": 8,
        "num-images": 60,
        "save": tmp_path / "drawn.npy",
    }
    peers.main([f"--{key}={value}" for key, value in arguments.items()])
    row = capsys.readouterr().out.splitlines()[-1].strip("| ").split(" | ")
    name, parameters, steps, distance, *_ = row
    assert (name, parameters, steps) == ("diffusers", "2.0 M", "1,234")
    assert float(distance.replace(",", "")) > 0
    drawn = np.load(tmp_path / "drawn.npy")
    assert drawn.shape == (60, 8, 8, 3) and set(drawn.ravel()) == {128}
