"""The presets that have a name."""

from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Preset:
    """What is known of a preset without opening it.

    Attributes:
        class_name: The model's class.
        description: One line on what it is.
        folder: Where its configuration is.
        parameters: Trainable parameters of what draws.
        has_weights: Whether there are weights to load.
    """

    class_name: str
    description: str
    folder: Path
    parameters: int
    has_weights: bool


REGISTRY = {
    "paper_wmgm_128": Preset(
        class_name="WMGM",
        description=(
            "The paper's networks at 128x128 pixels, two levels, as they "
            "are before training."
        ),
        folder=FOLDER / "paper_wmgm_128",
        parameters=89_014_579,
        has_weights=False,
    ),
}
"""The presets by name."""

DEFAULT_PRESET = "clothing_128"
"""The preset that ships with the package."""


def presets_of(class_name: str) -> dict[str, Preset]:
    """Return the presets of one class by name."""
    return {n: p for n, p in REGISTRY.items() if p.class_name == class_name}
