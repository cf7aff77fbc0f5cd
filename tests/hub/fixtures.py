"""What the tests of the Hub share: a server, and a preset on it."""

import pytest

from tests.hub import server
from tests.models import tiny


@pytest.fixture
def hub(tmp_path):
    """A hub, empty."""
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
def cache(tmp_path):
    """A cache of its own."""
    return tmp_path / "cache"
