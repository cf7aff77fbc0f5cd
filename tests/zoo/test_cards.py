"""What a card, its metrics and the registry say of a preset is one thing."""

import json
import re
from pathlib import Path

import pytest

import keras_wmgm
from keras_wmgm import presets

ROOT = Path(keras_wmgm.__file__).parents[1]
CARDS = sorted(path.parent.name for path in ROOT.glob("zoo/*/metrics.json"))
pytestmark = pytest.mark.once
LEVELS = r"photographs, coarse band (\d) only \| ([\d,]+)"


def number(text):
    return int(text.replace(",", ""))


def found(pattern, text):
    """Return the one thing that a pattern finds."""
    (match,) = re.findall(pattern, text)
    return match


@pytest.fixture(params=CARDS)
def card(request):
    """A preset's name, the text of its card, and its metrics."""
    folder = ROOT / "zoo" / request.param
    text = (folder / "README.md").read_text()
    metrics = json.loads((folder / "metrics.json").read_text())
    return request.param, text, metrics


def test_every_preset_with_weights_has_a_card():
    with_weights = {n for n, p in presets.REGISTRY.items() if p.has_weights}
    assert set(CARDS) == with_weights
    for name in with_weights:
        files = {path.name for path in (ROOT / "zoo" / name).iterdir()}
        assert files >= {"LICENSE", "recipe.toml", "samples.png"}


def test_figures_agree(card):
    name, text, metrics = card
    entry = presets.REGISTRY[name]
    row = found(r"\*\*this preset\*\* \| \*\*([\d,]+)", text)
    distance = metrics["frechet_distance_squeezenet"]
    assert number(row) == distance == entry.fd
    assert metrics["num_images"] == entry.fd_images
    assert metrics["num_steps"] == entry.steps
    assert f"{entry.parameters:,} parameters" in text
    said = found(r"Precision (\S+), recall (\S+), novelty (\S+)", text)
    measured = [metrics[n] for n in ("precision", "recall", "novelty")]
    assert [float(value) for value in said] == measured
    assert metrics["command"] in text


def test_yardsticks_agree(card):
    _, text, metrics = card
    half = found(r"half of the photographs to the other \| ([\d,]+)", text)
    assert number(half) == metrics["half_to_half"]
    bands = {k: number(v) for k, v in re.findall(LEVELS, text)}
    assert bands == metrics["coarse_band_only"]
    assert list(bands) == ["1", "2", "3"]
    assert sorted(bands.values()) == list(bands.values())


def test_the_readme_has_the_same_distances(card):
    name, _, metrics = card
    distance = f"{metrics['frechet_distance_squeezenet']:,}"
    text = (ROOT / "README.md").read_text().replace("\n", " ")
    link = rf"zoo/{name}/README\.md"
    places = [
        rf"{link}\)[^|\[]{{0,60}}?[(: ]{distance}(?![\d,.]\d)",
        rf"\[{distance}\]\({link}",
        rf"\*\*{name}\*\*[^|]*\| {distance} ",
    ]
    assert any(re.search(place, text) for place in places)
