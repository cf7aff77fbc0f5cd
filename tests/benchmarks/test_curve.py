import json

from benchmarks import curve


def lines(*epochs):
    return "".join(json.dumps(logs) + "\n" for logs in epochs)


def test_a_run_that_went_on_is_read_once(tmp_path, capsys):
    epochs = [
        {"epoch": i + 1, "seconds": 30.0 * (i + 1), "coarse_loss": 1 - i / 8}
        for i in range(6)
    ]
    # Killed after its last save, after epoch 4; 30 seconds an epoch again.
    again = [
        {"epoch": i + 1, "seconds": 30.0 * (i - 3), "coarse_loss": 1 - i / 8}
        for i in range(4, 8)
    ]
    detail = {"epoch": 9, "seconds": 300.0, "loss": 3.0, "detail_1_loss": 0.25}
    path = tmp_path / "history.jsonl"
    path.write_text(lines(*epochs, *again, detail))
    curve.main([str(path)])
    assert capsys.readouterr().out.splitlines()[2:] == [
        "| coarse | 4 | 1.000 | 0.875 | 0.625 | 0.125 |",
        "| detail_1 | 3 | 0.250 | 0.250 | 0.250 | 0.250 |",
    ]


def test_a_figure_is_the_median_of_a_twentieth(tmp_path):
    epochs = [
        {"epoch": i + 1, "seconds": i + 1.0, "coarse_loss": float(i)}
        for i in range(80)
    ]
    epochs[37]["coarse_loss"] = 1e9  # of 36 to 39
    path = tmp_path / "history.jsonl"
    path.write_text(lines(*epochs))
    ((_, _, losses),) = curve.curves(curve.read(path))
    assert losses == [7.5, 17.5, 38.5, 77.5]
