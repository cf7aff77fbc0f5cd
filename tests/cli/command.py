"""The command line within a test's process."""

import numpy as np
from click.testing import CliRunner
from PIL import Image

from keras_wmgm.cli import main
from keras_wmgm.utils import lock
from tests.helpers import wave


def run(*args):
    """Run a command. Return its result."""
    return CliRunner().invoke(main, [str(arg) for arg in args])


def ok(*args):
    """Run a command that has to succeed. Return what it prints."""
    result = run(*args)
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def refused(*args):
    """Run a command that has to fail. Return the one line it tells."""
    result = run(*args)
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code in (1, 2), result.output
    # Before it stands progress, or what Click tells of the usage.
    *before, line = result.stderr.splitlines()
    assert line.startswith("Error: "), result.stderr
    assert not any("Error" in other for other in before)
    assert "Traceback" not in result.output
    return line


def pixels(path):
    """Return the pixels of an image file."""
    with Image.open(path) as image:
        return np.asarray(image)


def content(folder):
    """Return the bytes of all files in a folder by name, but its lock's."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != lock.NAME
    }


def photographs(folder, count=8, size=8):
    """Make a folder of images. Return it."""
    folder.mkdir(parents=True)
    for i in range(count):
        values = np.rint(127.5 + 60 * wave((size, size, 3), i))
        Image.fromarray(values.astype("uint8")).save(folder / f"{i}.png")
    return folder
