"""What the package imports, and what it does not."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import keras_wmgm

ROOT = Path(keras_wmgm.__file__).parent
FILES = {str(p.relative_to(ROOT)): p for p in sorted(ROOT.rglob("*.py"))}

FOREIGN = {
    "tensorflow",
    "jax",
    "torch",
    "pywt",
    "matplotlib",
    "tensorflow_datasets",
}

HIGH = {"models", "presets", "callbacks", "recipes", "cli"}
TOP = {"models", "training", "sampling", "recipes", "cli"}
ABOVE = {
    "utils": TOP | {"networks", "factors", "presets", "data", "callbacks"},
    "layers": TOP | {"networks", "factors", "presets", "data", "callbacks"},
    "diffusion": TOP | {"networks", "factors", "presets", "data", "callbacks"},
    "metrics": TOP | {"networks", "factors", "presets", "data", "callbacks"},
    "optimizers": TOP | {"networks", "factors", "presets", "data", "callbacks"},
    "networks": TOP | {"factors", "presets", "data", "callbacks"},
    "factors": TOP | {"networks", "presets", "data", "callbacks"},
    "presets": TOP | {"networks", "factors", "data", "callbacks"},
    "data": TOP | {"networks", "factors", "presets", "callbacks"},
    "callbacks": TOP | {"networks", "factors"},
    "training": HIGH | {"sampling"},
    "sampling": HIGH | {"training"},
    "models": {"recipes", "cli", "callbacks"},
    "recipes": {"cli"},
}
"""What each part of the package must not know of."""

SCRIPT = """
import sys
import keras
before = set(sys.modules)
import keras_wmgm
print(*sorted({name.partition(".")[0] for name in set(sys.modules) - before}))
"""


def imported(path):
    """Return the full names of all that a file imports, at any level."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_import_adds_no_backend_to_those_of_keras():
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**os.environ, "PYTHONPATH": str(ROOT.parent)},
        capture_output=True,
        text=True,
        check=True,
    )
    added = set(result.stdout.split())
    assert "keras_wmgm" in added
    assert not added & FOREIGN


@pytest.mark.once
@pytest.mark.parametrize("file", FILES)
def test_file_imports_no_backend(file):
    tops = {name.partition(".")[0] for name in imported(FILES[file])}
    assert not tops & FOREIGN


@pytest.mark.once
@pytest.mark.parametrize(
    "file", [file for file in FILES if Path(file).parts[0] in ABOVE]
)
def test_imports_point_one_way(file):
    names = [name.split(".") for name in imported(FILES[file])]
    parts = {n[1] for n in names if n[0] == "keras_wmgm" and len(n) > 1}
    assert not parts & ABOVE[Path(file).parts[0]]
