"""What the tests of the Hub share: a server, and a preset on it."""

import importlib
import time

import pytest

from tests.hub import server
from tests.models import tiny

ASKING = [
    importlib.import_module(f"keras_wmgm.presets.{name}")
    for name in ("hub", "upload")
]
TIMEOUT = ASKING[0].TIMEOUT
"""How long the library waits for the list of files."""


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub, empty, that may be slow to answer: the machine may be busy."""
    for module in ASKING:
        monkeypatch.setattr(module, "TIMEOUT", 600.0)
    with server.running(tmp_path / "hub") as hub:
        yield hub


@pytest.fixture(scope="session")
def preset(tmp_path_factory):
    """The folder of a small preset, its weights large enough for LFS."""
    model = tiny.mixed()
    model.adapt(tiny.IMAGES)
    folder = tmp_path_factory.mktemp("preset") / "tiny"
    model.save_to_preset(folder, metadata={"license": "cc0-1.0"})
    return folder


@pytest.fixture
def silence(hub, monkeypatch):
    """Return a function after which the hub says no more."""

    def fall_silent():
        hub.faults = {"": "silent"}
        for module in ASKING:
            monkeypatch.setattr(module, "TIMEOUT", 0.1)

    return fall_silent


@pytest.fixture
def slept(monkeypatch):
    """The pauses asked for, in seconds. None is made."""
    pauses = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    return pauses


@pytest.fixture
def cache(tmp_path):
    """A cache of its own."""
    return tmp_path / "cache"
