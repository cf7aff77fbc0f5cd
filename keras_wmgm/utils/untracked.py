"""Attributes that Keras does not track."""


class Untracked:
    """A container for attributes that Keras must not track or save.

    Args:
        **attributes: The first values.
    """

    def __init__(self, **attributes):
        self.__dict__.update(attributes)
