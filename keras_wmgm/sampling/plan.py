"""The plan of one image: which bands are drawn, in which order, and how."""

from dataclasses import dataclass
from dataclasses import field
from typing import Any

from keras_wmgm.diffusion.samplers import SAMPLERS
from keras_wmgm.factors.factor import Factor
from keras_wmgm.utils.checks import check_choice
from keras_wmgm.utils.checks import check_count


@dataclass(frozen=True)
class Band:
    """One band to draw.

    Attributes:
        name: `"coarse"`, or `"detail_k"`; its noise goes by this name.
        level: k, or 0 for the coarse band.
        factor: The factor that draws it.
        arguments: Arguments of its `sample`, `noise_shapes` and `calls`:
            `num_steps` and `sampler` if it takes steps, else none.
    """

    name: str
    level: int
    factor: Factor = field(repr=False)
    arguments: dict[str, Any]


def make_plan(
    coarse: Factor,
    details: list[Factor],
    num_steps: int | tuple[int, ...],
    sampler: str,
) -> list[Band]:
    """Return the bands in the order in which they are drawn.

    Args:
        coarse: The coarse factor.
        details: The detail factor of each level, k = 1 first.
        num_steps: One number for all factors that take steps, or one for
            each of them, in the order of drawing.
        sampler: The name of the sampler of these factors.

    Raises:
        ValueError: For an unknown sampler, for numbers of steps that are not
            positive, and for another count of them than of such factors.
    """
    check_choice("sampler", sampler, SAMPLERS)
    places = [("coarse", 0, coarse)]
    for k in range(len(details), 0, -1):
        places.append((f"detail_{k}", k, details[k - 1]))
    stepping = [name for name, _, factor in places if factor.takes_steps]
    steps = _steps_by_name(num_steps, stepping)
    return [
        Band(
            name,
            k,
            factor,
            {"num_steps": steps[name], "sampler": sampler}
            if factor.takes_steps
            else {},
        )
        for name, k, factor in places
    ]


def _steps_by_name(num_steps, names):
    if not isinstance(num_steps, (tuple, list)):
        num_steps = [check_count("num_steps", num_steps)] * len(names)
    if len(num_steps) != len(names):
        raise ValueError(
            "`num_steps` must be one number, or one for each factor that takes "
            f"steps: {', '.join(names)}. Received: num_steps={num_steps!r}"
        )
    counts = [check_count("num_steps", n) for n in num_steps]
    return dict(zip(names, counts, strict=True))
