"""The command line's share of the Hub."""

import json

from click.testing import CliRunner

from keras_wmgm import presets
from keras_wmgm.cli import main
from keras_wmgm.presets.card import model_card
from tests.hub.server import TOKEN


def test_a_folder_goes_to_the_hub_and_its_handle_draws(
    hub, preset, cache, tmp_path, monkeypatch
):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    command = ["upload", str(preset), "me/tiny", "--samples", "2"]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    handle = result.output.split('"')[1]
    picture = tmp_path / "drawn.png"
    command = ["generate", "--preset", handle, "--output", str(picture)]
    result = CliRunner().invoke(main, [*command, "--num-images", "2"])
    assert result.exit_code == 0, result.output
    assert picture.stat().st_size > 100


def test_a_refusal_is_one_line(hub, preset, monkeypatch):
    monkeypatch.delenv("HF_TOKEN", raising=False)
    result = CliRunner().invoke(main, ["upload", str(preset), "me/tiny"])
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert result.output.count("\n") == 1


def test_the_table_has_a_line_for_every_preset():
    result = CliRunner().invoke(main, ["presets"])
    title, *lines = result.output.splitlines()
    assert title.split()[:2] == ["name", "class"]
    assert len(lines) == len(presets.REGISTRY)
    paper = next(line for line in lines if line.startswith("paper_wmgm_128"))
    assert "89,014,579" in paper and paper.endswith("none yet")


def test_a_recipe_of_the_command_line_is_shown_in_the_card(preset):
    recipe = {"model": {"class": "WMGM"}, "stages": [{"epochs": 3}]}
    facts = {"recipe": recipe, "class": "WMGM"}
    card = model_card("me/tiny", facts, (8, 8, 1), False)
    block = card.partition("```json\n")[2].partition("```")[0]
    assert json.loads(block) == recipe


def test_a_card_names_the_preset_that_a_tuned_one_began_with():
    facts = {"init_from": "clothing_64", "tuned": True}
    card = model_card("me/tiny", facts, (8, 8, 1), False)
    assert "- Recipe: starts from the weights of `clothing_64`\n" in card
