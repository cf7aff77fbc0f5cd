"""Attributes that Keras is to leave alone."""


class Untracked:
    """A place for attributes that Keras does not track, save or walk.

    Args:
        **attributes: The first values.
    """

    def __init__(self, **attributes):
        self.__dict__.update(attributes)
