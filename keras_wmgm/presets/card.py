"""The model card: what a stranger should know before using a preset."""

import json

from keras_wmgm.presets.handles import PREFIX

SAMPLES = "samples.png"

TAGS = ["keras", "image-generation", "wavelet", "multi-scale"]

TEXT = """
# {name}

A `{kind}` of keras_wmgm, a library of small multi-scale image generators in
Keras 3: {parameters:,} parameters, for images of {size}. It runs on JAX,
TensorFlow and PyTorch.
{picture}
## How to load

```python
import keras_wmgm

model = keras_wmgm.from_preset("{handle}")
images = model.generate(16, seed=0)  # uint8
```

`keras.saving.load_model` opens the same files after `import keras_wmgm`.

## Training

- Data: {data}
- Recipe: {recipe}
- Made with keras_wmgm {version}, Keras {keras}

## Metrics

{metrics}

## Limits

{limits}
"""

LIMITS = (
    "It draws pictures like those it was trained on, with their biases, at "
    "their size and no other. Its pictures are not photographs of anything; "
    "do not present them as such. Check the licence of the training data "
    "before you use them."
)


def model_card(repo_id: str, facts: dict, image_shape, pictures: bool) -> str:
    """Return the text of a preset's `README.md`.

    Args:
        repo_id: Where it is to stand.
        facts: The preset's metadata. Of its keys, `license`, `data`,
            `recipe`, `limits` and `metrics` (a dictionary) are the author's.
        image_shape: `(height, width, channels)`.
        pictures: Whether there is a sample grid beside it.
    """
    from huggingface_hub import ModelCardData

    metrics = facts.get("metrics") or {}
    header = ModelCardData(
        library_name="keras_wmgm",
        license=facts.get("license"),
        pipeline_tag="unconditional-image-generation",
        tags=[*TAGS, str(facts.get("class", "MultiscaleModel")).lower()],
        metrics=[str(name) for name in metrics] or None,
    )
    body = TEXT.format(
        name=repo_id.partition("/")[2],
        kind=facts.get("class"),
        parameters=facts.get("parameters", 0),
        size="x".join(map(str, image_shape)),
        picture=f"\n![samples]({SAMPLES})\n" if pictures else "",
        handle=f"{PREFIX}{repo_id}",
        data=facts.get("data") or "not stated by the author",
        recipe=_recipe(facts),
        version=facts.get("keras_wmgm_version"),
        keras=facts.get("keras_version"),
        metrics=_table(metrics),
        limits=facts.get("limits") or LIMITS,
    )
    return f"---\n{header.to_yaml()}\n---\n{body}"


def _recipe(facts):
    """Return the recipe, and the preset that training began with."""
    recipe, start = facts.get("recipe"), facts.get("init_from")
    if isinstance(recipe, dict):
        recipe = f"\n\n```json\n{json.dumps(recipe, indent=1)}\n```\n"
    if start:
        start = f"starts from the weights of `{start}`"
    return "; ".join(filter(None, (start, recipe))) or (
        "not stated by the author"
    )


def _table(metrics):
    if not metrics:
        return "None stated by the author."
    rows = [f"| {name} | {value} |" for name, value in metrics.items()]
    return "\n".join(["| metric | value |", "|---|---|", *rows])
