import keras
import pytest

from benchmarks import speed


@pytest.mark.slow
def test_the_table_has_a_row_for_each_backend(capfd):
    backend = keras.backend.backend()
    speed.main(["--num-steps", "1", "--backends", backend, "no_backend"])
    lines = capfd.readouterr().out.splitlines()
    assert lines[0].startswith("clothing_64, 1 steps, ")
    (row,) = (line.strip("| ").split(" | ") for line in lines[4:])
    name, start, load, first, _, peak = row
    assert name == backend
    # Upper limits that only a wrong unit would break.
    assert 0 < float(start) + float(load) + float(first) < 600
    assert 0.2 < float(peak) < 8
