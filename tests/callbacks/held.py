"""A run folder that another process works in."""

import subprocess
import sys
from contextlib import contextmanager

from filelock import FileLock
from filelock import Timeout

from keras_wmgm.utils.lock import NAME

SCRIPT = """
import sys
from filelock import FileLock
lock = FileLock(sys.argv[1])
lock.acquire()
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def held(folder):
    """Let another process hold a folder; yield that process."""
    command = [sys.executable, "-c", SCRIPT, str(folder / NAME)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def is_free(folder):
    """Whether another process could take a folder."""
    try:
        with FileLock(folder / NAME, timeout=0):
            return True
    except Timeout:
        return False
