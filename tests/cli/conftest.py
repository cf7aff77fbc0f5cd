import keras
import pytest

from keras_wmgm.cli import new_plan
from keras_wmgm.cli import plan
from tests.cli.command import photographs
from tests.helpers import wave
from tests.models import tiny


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """Eight images of 8x8 pixels; not to be written to."""
    return photographs(tmp_path_factory.mktemp("data") / "photos")


@pytest.fixture(scope="session")
def preset(tmp_path_factory):
    """A preset of 8x8 images in colour, as it is before training."""
    keras.utils.set_random_seed(7)
    details = [tiny.gan(3), tiny.diffusion(9, condition=3)]
    model = tiny.model(2, details, channels=3)
    model.adapt(0.3 * wave((16, 8, 8, 3)))
    folder = tmp_path_factory.mktemp("presets") / "tiny"
    model.save_to_preset(folder)
    return folder


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    """No run of a test goes on for the default hour."""
    monkeypatch.setattr(new_plan, "DISTILL_FROM", 0.0)
    for module in (plan, new_plan):
        monkeypatch.setattr(module, "DEFAULT_MINUTES", 1e-4)
