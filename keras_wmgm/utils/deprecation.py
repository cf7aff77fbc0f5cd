"""Arguments that have been renamed."""

import warnings
from typing import Any


def renamed(old: str, given: Any, new: str, value: Any) -> Any:
    """Return an argument's value, and warn if it came under its old name.

    Args:
        old: The old name.
        given: What was given under the old name; `None` if nothing was.
        new: The new name.
        value: The value under the new name.
    """
    if given is None:
        return value
    warnings.warn(
        f"`{old}` is now called `{new}`; use `{new}={given!r}`. "
        f"Received: {old}={given!r}",
        DeprecationWarning,
        stacklevel=3,
    )
    return given
