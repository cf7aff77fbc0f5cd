"""What Keras is handed by `fit` and `evaluate`."""

import keras
import numpy as np
import pytest

from keras_wmgm.data import ImageBatches
from keras_wmgm.training.fit_data import held_out_data
from keras_wmgm.training.fit_data import training_data
from tests.models import tiny

IMAGES, PIXELS = tiny.IMAGES, tiny.PIXELS
SHAPE = (8, 8, 1)


class Batches(keras.utils.PyDataset):
    """A data set of a user's."""

    def __init__(self, images):
        super().__init__()
        self.images = images

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return self.images[8 * index : 8 * index + 8]


def tf_data(images):
    tf = pytest.importorskip("tensorflow")
    return tf.data.Dataset.from_tensor_slices(images).batch(8)


def ema(rate=1e-2):
    return keras.optimizers.Adam(
        rate, use_ema=True, ema_momentum=0.5, name="adam"
    )


@pytest.fixture(scope="module")
def start():
    """The weights that every model begins with."""
    return tiny.model(0).get_weights()


def new(start, optimizer="sgd"):
    """Return a model that does what another one does."""
    keras.utils.set_random_seed(1)
    model = tiny.model(0)
    model.set_weights(start)
    model.adapt(PIXELS)
    return tiny.compiled(model, optimizer, run_eagerly=tiny.BACKEND != "jax")


# Training


def orders(batches):
    found = []
    for epoch in range(3):
        batches.set_epoch(epoch)
        found.append([batches[i] for i in range(len(batches))])
    return np.array(found)


def test_steps_per_epoch_are_max_batches():
    kwargs = {"batch_size": 4, "steps_per_epoch": 3}
    found, kwargs = training_data(PIXELS, SHAPE, kwargs, seed=5)
    expected = ImageBatches(PIXELS, 4, seed=5, max_batches=3)
    np.testing.assert_array_equal(orders(found), orders(expected))
    assert kwargs["steps_per_epoch"] is None


def test_steps_per_epoch_do_not_change_the_batches_that_were_given():
    given = ImageBatches(PIXELS, 4)
    found, _ = training_data(given, SHAPE, {"steps_per_epoch": 3}, seed=0)
    assert (len(given), len(found)) == (4, 3)
    assert training_data(given, SHAPE, {}, seed=0)[0] is given


def test_a_run_of_short_epochs_that_was_resumed_is_the_unbroken_one(start):
    options = {"batch_size": 4, "steps_per_epoch": 2, "verbose": 0}
    unbroken, broken = new(start), new(start)
    unbroken.fit(PIXELS, epochs=3, **options)
    broken.fit(PIXELS, epochs=1, **options)
    broken.fit(PIXELS, initial_epoch=1, epochs=3, **options)
    tiny.assert_equal(tiny.weights(broken), tiny.weights(unbroken), 1e-6)


def test_only_a_data_set_is_shuffled_by_keras():
    for x in (PIXELS, ImageBatches(PIXELS), tf_data(PIXELS)):
        assert training_data(x, SHAPE, {}, seed=0)[1]["shuffle"] is False
    assert "shuffle" not in training_data(Batches(PIXELS), SHAPE, {}, 0)[1]


def test_a_loss_that_is_not_finite_stops_what_keras_reads_itself(start):
    images = IMAGES.copy()
    images[12] = np.nan
    model = new(start)
    with pytest.raises(
        FloatingPointError, match="`coarse_loss` is nan after epoch 1"
    ):
        model.fit(tf_data(images), epochs=2, verbose=0)
    assert model.epochs_trained == 1


def test_images_that_are_not_finite_are_not_learned(start):
    images = IMAGES.copy()
    images[12] = np.nan
    model = new(start)
    # On TensorFlow, Keras hands on the words in an error of its own.
    with pytest.raises(Exception, match="must be finite"):
        model.fit(Batches(images), shuffle=False, verbose=0)
    if tiny.BACKEND == "torch":
        assert all(np.isfinite(w).all() for w in model.get_weights())


# Held-out images


@pytest.mark.parametrize("dtype", ["uint8", "float16", "float64", "bfloat16"])
def test_images_of_any_dtype_are_the_same_images(start, dtype):
    images = PIXELS
    if dtype != "uint8":
        images = keras.ops.cast(np.sign(IMAGES), dtype)
        images = keras.ops.convert_to_numpy(images)
    expected = np.sign(IMAGES) if dtype != "uint8" else PIXELS / 127.5 - 1
    model = new(start)
    found = [
        model.evaluate(x, batch_size=8, verbose=0)[0]
        for x in (images, expected.astype("float32"))
    ]
    assert found[0] == pytest.approx(found[1], rel=1e-4)


def test_evaluating_takes_all_images_in_order():
    given = ImageBatches(PIXELS, 6, flip=True, max_batches=1)
    found, kwargs = held_out_data(given, SHAPE, {})
    batches = [found[i] for i in range(len(found))]
    assert [len(batch) for batch in batches] == [6, 6, 4]
    np.testing.assert_array_equal(np.concatenate(batches), PIXELS)
    short, _ = held_out_data(given, SHAPE, {"steps": 2, "batch_size": 3})
    assert [len(short[i]) for i in range(len(short))] == [3, 3]


@pytest.mark.parametrize(
    "make",
    [
        lambda: PIXELS,
        lambda: (PIXELS,),
        lambda: ImageBatches(PIXELS, 8, flip=True),
        lambda: Batches(PIXELS),
        lambda: tf_data(PIXELS),
    ],
    ids=["array", "tuple", "ImageBatches", "PyDataset", "tf.data"],
)
def test_validation_is_an_evaluation_of_the_weights_that_draw(start, make):
    model = new(start, ema())
    history = model.fit(
        IMAGES, batch_size=8, verbose=0, epochs=2, validation_data=make()
    ).history
    options = {"batch_size": 8, "verbose": 0, "return_dict": True}
    drawn = model.evaluate(PIXELS, **options)
    model.use_average(False)
    raw = model.evaluate(PIXELS, **options)
    found = history["val_coarse_loss"][-1]
    assert found == pytest.approx(drawn["coarse_loss"], rel=1e-4)
    assert found != pytest.approx(raw["coarse_loss"], rel=1e-3)


def test_validation_leaves_training_alone(start):
    found = []
    for held_out in (None, PIXELS[:8]):
        model = new(start, ema())
        model.fit(
            IMAGES,
            batch_size=8,
            epochs=3,
            verbose=0,
            validation_data=held_out,
        )
        averages = tiny.weights(model)
        model.use_average(False)
        found.append((averages, tiny.weights(model), tiny.moments(model)))
    for one, other in zip(*found, strict=True):
        tiny.assert_equal(one, other, 1e-6)


def test_validation_batches_are_of_the_size_of_training(start):
    sizes = []
    model = new(start)
    before = model.compute_loss

    def compute_loss(x, *args, training=True, **kwargs):
        if not training:
            sizes.append(x.shape[0])
        return before(x, *args, training=training, **kwargs)

    model.compute_loss = compute_loss
    model.fit(PIXELS, batch_size=4, verbose=0, validation_data=PIXELS[:8])
    assert set(sizes) == {4}
