"""What the tests share: closed-form values and one test for any layer."""

import doctest
import json
import math
import re
import tempfile
from pathlib import Path

import keras
import numpy as np
from keras import ops
from keras.tree import flatten
from keras.tree import map_structure

import keras_wmgm


def wave(shape, offset=0):
    """Return values in [-1, 1] that look random and are the same anywhere."""
    index = np.arange(math.prod(shape), dtype="float64") + 1000 * offset + 1
    return np.sin(0.1 * index**2).astype("float32").reshape(shape)


def fill(layer, offset=0):
    """Set every weight by a closed form, of about unit gain. Return `layer`."""
    for number, weight in enumerate(layer.weights, start=offset):
        values = wave(tuple(weight.shape), number)
        if len(weight.shape) < 2:
            around_one = weight.name in ("gamma", "moving_variance")
            values = 0.1 * values + around_one
        else:
            values = values * math.sqrt(2 / math.prod(weight.shape[:-1]))
        weight.assign(values)
    return layer


def to_numpy(x):
    """Return a tensor of any float dtype as a float32 array."""
    return ops.convert_to_numpy(ops.cast(x, "float32"))


def run_layer_test(make, *inputs, half_dtype="bfloat16", half_tolerance=0.02):
    """Check what has to hold for every layer and network.

    Args:
        make: Function of a `dtype` that returns a new layer.
        *inputs: The call's arguments: arrays, or tuples or dictionaries of
            arrays.
        half_dtype: The output's dtype under mixed_bfloat16.
        half_tolerance: How far the output may be from float32's there, as a
            fraction of its largest value.
    """
    layer = _build(make(dtype="float32"), inputs)
    weights = [(w.name, w.shape) for w in layer.weights]
    outputs = map_structure(to_numpy, fill(layer)(*inputs))
    assert weights == [(w.name, w.shape) for w in layer.weights]
    assert all(np.isfinite(y).all() for y in flatten(outputs))
    _check_symbolic(make, inputs, outputs)
    _check_data_format(make, layer, inputs, outputs)
    _check_half(make, layer, inputs, outputs, half_dtype, half_tolerance)
    model = _check_round_trip(layer, inputs, outputs)
    _check_fit(model, flatten(inputs))


def assert_close(actual, expected, tolerance):
    """Compare two structures, relative to the largest expected value."""
    for a, e in zip(flatten(actual), flatten(expected), strict=True):
        scale = max(np.abs(e).max(), 1.0)
        np.testing.assert_allclose(to_numpy(a) / scale, e / scale, 0, tolerance)


def _build(layer, inputs):
    """Make the weights, without a call."""
    if not layer.built:
        layer.build(*[map_structure(np.shape, x) for x in inputs])
    assert layer.built
    return layer


def _check_symbolic(make, inputs, outputs):
    """A call on symbols tells the shape and dtype of the call on arrays."""
    known = map_structure(lambda x: keras.KerasTensor(x.shape, x.dtype), inputs)
    symbols = make(dtype="float32")(*known)
    for symbol, output in zip(flatten(symbols), flatten(outputs), strict=True):
        assert isinstance(symbol, keras.KerasTensor)
        assert tuple(symbol.shape) == output.shape
        assert symbol.dtype == "float32"


def _check_data_format(make, layer, inputs, outputs):
    """Channels are last, whatever the global data format is."""
    before = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_first")
    try:
        twin = _build(make(dtype="float32"), inputs)
        twin.set_weights(layer.get_weights())
        assert_close(twin(*inputs), outputs, 1e-6)
    finally:
        keras.config.set_image_data_format(before)


def _check_half(make, layer, inputs, outputs, dtype, tolerance):
    """Mixed precision keeps float32 weights and is near the full one."""
    twin = _build(make(dtype="mixed_bfloat16"), inputs)
    assert all(w.dtype == "float32" for w in twin.weights)
    twin.set_weights(layer.get_weights())
    model = _model(twin, inputs)
    for y in flatten(model.outputs):
        assert y.dtype == dtype
    half = model.predict(flatten(inputs), verbose=0)
    assert_close(half, outputs, tolerance)


def _check_round_trip(layer, inputs, outputs):
    """Configuration through JSON and weights through a file give a twin.

    Both are in models of unknown sizes. Return the twin's.
    """
    saved = json.dumps(keras.saving.serialize_keras_object(layer))
    twin = keras.saving.deserialize_keras_object(json.loads(saved))
    assert type(twin) is type(layer)
    copied = json.dumps(keras.saving.serialize_keras_object(twin)["config"])
    assert json.loads(copied) == json.loads(saved)["config"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "layer.weights.h5"
        _model(layer, inputs).save_weights(path)
        model = _model(twin, inputs)
        model.load_weights(path)
    assert_close(model(flatten(inputs)), outputs, 1e-6)
    return model


class Gain(keras.layers.Layer):
    """One trainable factor, so that a gradient has to pass the layer."""

    def build(self, input_shape):
        self.factor = self.add_weight(name="factor", initializer="ones")

    def call(self, x):
        return x * self.factor


class Ones(keras.Model):
    """A model whose every output is to be one."""

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        return sum(ops.mean(ops.square(y - 1)) for y in flatten(y_pred))


def _model(layer, inputs):
    """Return a model of `layer`, of unknown sizes, over flat inputs."""

    def symbol(x):
        sizes = (None, None, x.shape[-1]) if x.ndim == 4 else x.shape[1:]
        return keras.Input(sizes, dtype=x.dtype)

    def gain(x):
        return Gain()(x) if len(x.shape) > 1 else x

    symbols = map_structure(symbol, inputs)
    return Ones(flatten(symbols), layer(*map_structure(gain, symbols)))


def _check_fit(model, inputs):
    """One compiled training step moves every factor, table and kernel.

    Not every bias: what follows may cancel it, a normalisation for one.
    """
    before = [(v, to_numpy(v)) for v in model.trainable_variables]
    model.compile(keras.optimizers.SGD(0.1))
    history = model.fit(inputs, batch_size=len(inputs[0]), verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    for variable, value in before:
        if variable.name in ("factor", "table", "kernel"):
            assert np.any(to_numpy(variable) != value), variable.path


class _Checker(doctest.OutputChecker):
    """Reads a shape as a tuple, whatever the backend makes of it."""

    def check_output(self, want, got, optionflags):
        got = re.sub(r"(torch\.Size|TensorShape)\(\[(.*?)\]\)", r"(\2)", got)
        return super().check_output(want, got, optionflags)


def run_examples(thing):
    """Run the examples of one docstring. Return the names they have made."""
    names = {"np": np, "keras": keras, "keras_wmgm": keras_wmgm}
    finder = doctest.DocTestFinder(recurse=False)
    (examples,) = finder.find(thing, thing.__name__, globs=names)
    runner = doctest.DocTestRunner(_Checker(), verbose=False)
    output = []
    result = runner.run(examples, out=output.append, clear_globs=False)
    assert not result.failed, "".join(output)
    return examples.globs
