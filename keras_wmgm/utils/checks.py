"""Checks of arguments, with messages that say what was expected."""

import math
from collections.abc import Iterable
from collections.abc import Sequence
from difflib import get_close_matches
from numbers import Integral
from numbers import Real
from typing import Any


def check_count(name: str, value: Any, minimum: int = 1) -> int:
    """Return `value` as an int, or refuse what is not a whole number."""
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not whole or value < minimum:
        raise ValueError(
            f"`{name}` must be a whole number of at least {minimum}. "
            f"Received: {name}={value!r}"
        )
    return int(value)


def check_optional_count(name: str, value: Any, default: Any = None) -> Any:
    """Return `value` as a positive int, or `default` where it is `None`."""
    return default if value is None else check_count(name, value)


def check_counts(
    name: str, values: Any, minimum: int = 1, min_length: int = 0
) -> tuple[int, ...]:
    """Return `values` as a tuple of ints of at least `min_length` entries."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise ValueError(
            f"`{name}` must be a sequence of whole numbers. "
            f"Received: {name}={values!r}"
        )
    counts = tuple(check_count(name, value, minimum) for value in values)
    if len(counts) < min_length:
        raise ValueError(
            f"`{name}` must have at least {min_length} entries. "
            f"Received: {name}={values!r}"
        )
    return counts


def check_choice(name: str, value: Any, choices: Iterable) -> Any:
    """Return `value` if it is one of `choices`, or name the nearest one."""
    choices = tuple(choices)
    if value in choices:
        return value
    words = [choice for choice in choices if isinstance(choice, str)]
    near = get_close_matches(str(value), words, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise ValueError(
        f"`{name}` must be one of {', '.join(map(repr, choices))}.{hint} "
        f"Received: {name}={value!r}"
    )


def check_number(
    name: str,
    value: Any,
    low: float = -math.inf,
    high: float = math.inf,
    above: bool = False,
) -> float:
    """Return `value` as a finite float in [low, high).

    Args:
        name: The argument's name.
        value: What was given.
        low: The least that is allowed.
        high: What it must be below.
        above: Whether `low` itself is not allowed.
    """
    number = isinstance(value, Real) and not isinstance(value, bool)
    inside = number and math.isfinite(value) and low <= value < high
    if not inside or (above and value == low):
        left = "(" if above or low == -math.inf else "["
        raise ValueError(
            f"`{name}` must be a number in {left}{low}, {high}). "
            f"Received: {name}={value!r}"
        )
    return float(value)


def check_fraction(name: str, value: Any) -> float:
    """Return `value` as a float in [0, 1)."""
    return check_number(name, value, 0, 1)


def check_divisible(shape: Sequence[int | None], multiple: int, what: str):
    """Refuse an image batch whose known height or width does not fit.

    Args:
        shape: `(batch, height, width, channels)`; `None` entries pass.
        multiple: What height and width must be a multiple of.
        what: The subject of the message: `"HaarDWT2D"`.
    """
    if len(shape) != 4:
        raise ValueError(
            f"{what} takes a batch of images of shape (batch, height, width, "
            f"channels). Received: shape={tuple(shape)}"
        )
    for axis, size in zip(("height", "width"), shape[1:3], strict=True):
        if isinstance(size, int) and (size % multiple or size == 0):
            below = size // multiple * multiple
            fits = [s for s in (below, below + multiple) if s > 0]
            raise ValueError(
                f"{what} needs a {axis} that is a multiple of {multiple}. "
                f"The nearest that fit: {' and '.join(map(str, fits))}. "
                f"Received: {axis}={size} in shape={tuple(shape)}"
            )
