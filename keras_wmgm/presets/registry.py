"""The presets that have a name, as `registry.toml` beside this file has them.

That file is the one to edit; it says what its keys mean.
"""

import tomllib
from dataclasses import dataclass
from dataclasses import field
from pathlib import Path

PACKAGE = Path(__file__).parent
CHECKOUT = PACKAGE.parent.parent
DATA = PACKAGE / "registry.toml"
CONFIG, WEIGHTS = "config.json", "model.weights.h5"
OF_WEIGHTS = ("sha256", "bytes", "steps", "fd", "fd_images", "license")
"""What an entry says of its weights."""


@dataclass(frozen=True)
class Preset:
    """What is known of a preset without opening it.

    Attributes:
        class_name: The model's class.
        description: One line on what it is.
        folder: Where its configuration is, and its weights unless they are
            on the Hub.
        image_size: Height and width in pixels.
        parameters: Trainable parameters of what draws.
        repo: The Hub repository of its files, if they are there.
        revision: The commit they are taken from.
        sha256: The checksum of each file; none without weights.
        bytes: The size of all its files.
        steps: The diffusion steps `fd` was measured with.
        fd: Frechet distance to the training data.
        fd_images: The number of images `fd` is of.
        license: Of the weights.
        data: What it was trained on.
        recipe: The file that says how to train it.
    """

    class_name: str
    description: str
    folder: Path
    image_size: int
    parameters: int
    repo: str | None = None
    revision: str | None = None
    sha256: dict[str, str] = field(default_factory=dict)
    bytes: int | None = None
    steps: int | None = None
    fd: float | None = None
    fd_images: int | None = None
    license: str | None = None
    data: str | None = None
    recipe: str | None = None

    @property
    def has_weights(self) -> bool:
        """Whether there are weights to load."""
        return WEIGHTS in self.sha256


def read_registry(
    path: Path = DATA, package: Path = PACKAGE, checkout: Path = CHECKOUT
) -> dict[str, Preset]:
    """Return the presets of a registry file by name.

    Args:
        path: The file.
        package: What `folder` is relative to.
        checkout: What `zoo` is relative to.
    """
    entries = tomllib.loads(path.read_text(encoding="utf-8"))
    return {
        name: _preset(entry, package, checkout)
        for name, entry in entries.items()
    }


def _preset(entry, package, checkout):
    hub = entry.pop("hub", {})
    class_name = entry.pop("class")
    folder = package / entry.pop("folder")
    zoo = entry.pop("zoo", None)
    if zoo and (checkout / zoo / WEIGHTS).is_file():
        folder, hub = checkout / zoo, {}
    elif zoo and not hub:
        for key in OF_WEIGHTS:
            entry.pop(key, None)
    return Preset(class_name, folder=folder, **hub, **entry)


REGISTRY = read_registry()
"""The presets by name."""

DEFAULT_PRESET = "clothing_64"
"""The preset that ships with the package."""


def presets_of(class_name: str) -> dict[str, Preset]:
    """Return the presets of one class by name."""
    return {n: p for n, p in REGISTRY.items() if p.class_name == class_name}
