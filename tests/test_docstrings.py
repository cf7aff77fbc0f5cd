import importlib
import inspect
import pkgutil

import pytest

import keras_wmgm
from tests.helpers import run_examples

# Their examples hold networks of the paper's sizes: tests/networks/
# test_paper_sizes.py runs them, once.
ELSEWHERE = {"DetailUNet", "DetailCritic", "ScoreUNet"}


def documented():
    """Return what has examples in its docstring, by its full name."""
    found = {}
    for info in pkgutil.walk_packages(keras_wmgm.__path__, "keras_wmgm."):
        module = importlib.import_module(info.name)
        things = [("", module)]
        for name, thing in vars(module).items():
            if getattr(thing, "__module__", None) == info.name:
                things.append((f".{name}", thing))
                for member, value in vars(thing).items():
                    if inspect.isfunction(value):
                        things.append((f".{name}.{member}", value))
        for name, thing in things:
            if ">>>" in (thing.__doc__ or "") and thing not in found.values():
                found[info.name + name] = thing
    return found


EXAMPLES = {
    name: thing
    for name, thing in documented().items()
    if thing.__name__ not in ELSEWHERE
}


def test_examples_are_found():
    assert "keras_wmgm.layers.haar_dwt2d.HaarDWT2D" in EXAMPLES


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_hold(name):
    run_examples(EXAMPLES[name])
