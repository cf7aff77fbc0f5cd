import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.once
ROOT = Path(__file__).parents[2]
SCRIPT = """
import sys, types
from importlib.util import module_from_spec, spec_from_file_location
spec = spec_from_file_location("backend", {path!r})
backend = module_from_spec(spec)
spec.loader.exec_module(backend)
backend.find_spec = lambda name: name in {installed!r} or None
backend.choose_backend()
import os
print(os.environ.get("KERAS_BACKEND"))
"""


@pytest.mark.parametrize(
    "installed, configured, environment, expected",
    [
        ("tensorflow jax torch", None, None, None),
        ("tensorflow jax torch", "jax", None, None),
        ("torch", None, None, "torch"),
        ("torch", "jax", None, "torch"),
        ("jax torch", "tensorflow", None, "jax"),
        ("jax torch", "torch", None, None),
        ("tensorflow torch", "numpy", None, "tensorflow"),
        ("torch", None, "jax", "jax"),
        ("torch", "damaged", None, "torch"),
    ],
)
def test_a_backend_that_is_there_is_chosen(
    tmp_path, installed, configured, environment, expected
):
    if configured:
        content = json.dumps({"backend": configured})
        damaged = configured == "damaged"
        (tmp_path / "keras.json").write_text(content[damaged:])
    env = {**os.environ, "KERAS_HOME": str(tmp_path)}
    env.pop("KERAS_BACKEND", None)
    if environment:
        env["KERAS_BACKEND"] = environment
    path = str(ROOT / "keras_wmgm" / "utils" / "backend.py")
    script = SCRIPT.format(path=path, installed=installed.split())
    found = run(script, env)
    assert found.stdout.strip() == str(expected), found.stderr


def run(script, env):
    command = [sys.executable, "-c", script]
    return subprocess.run(command, env=env, capture_output=True, text=True)


def test_without_any_backend_it_says_what_to_install(tmp_path):
    env = {**os.environ, "KERAS_HOME": str(tmp_path)}
    env.pop("KERAS_BACKEND", None)
    path = str(ROOT / "keras_wmgm" / "utils" / "backend.py")
    found = run(SCRIPT.format(path=path, installed=[]), env)
    assert found.returncode
    assert "ImportError: keras_wmgm needs a backend: pip" in found.stderr
