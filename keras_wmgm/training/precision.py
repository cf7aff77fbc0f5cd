"""The check for precisions that training does not support."""

import keras


def refuse_float16(model: keras.Model) -> None:
    """Refuse to train where a layer computes in float16.

    Args:
        model: The model.

    Raises:
        ValueError: If a layer has such a dtype policy.
    """
    layers = model._flatten_layers()
    names = {layer.dtype_policy.name for layer in layers}
    halves = {n for n in names if n.endswith("float16") and "bf" not in n}
    if halves:
        raise ValueError(
            "Training in float16 is not supported, as the losses of several "
            "networks cannot be scaled one by one; use `mixed_bfloat16` or "
            "`float32`. "
            f"Received: dtype policy {halves.pop()}"
        )
