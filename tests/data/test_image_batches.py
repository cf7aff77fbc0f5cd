import keras
import numpy as np
import pytest

from keras_wmgm.data import ImageBatches
from tests.helpers import wave
from tests.models import tiny

pytestmark = pytest.mark.each

# Each image is told by its first pixel.
IMAGES = 0.5 * wave((11, 4, 6, 2))
IMAGES[:, 0, 0, 0] = IMAGES[:, 0, -1, 0] = np.arange(11) / 20


def epoch(batches):
    return [batches[i] for i in range(len(batches))]


def order(batches):
    images = np.concatenate(epoch(batches))
    return [round(20 * value) for value in images[:, 0, 0, 0].tolist()]


def test_the_order_is_a_function_of_seed_and_epoch():
    batches = ImageBatches(IMAGES, 4, seed=3)
    orders = []
    for number in range(3):
        assert batches.epoch == number
        orders.append(order(batches))
        batches.on_epoch_end()
    assert orders[0] != orders[1] != orders[2] != orders[0]
    twin = ImageBatches(IMAGES, 4, seed=3)
    for number in (2, 0, 1):
        twin.set_epoch(number)
        assert order(twin) == orders[number]
    assert order(ImageBatches(IMAGES, 4, seed=4)) != orders[0]


@pytest.mark.parametrize("batch_size", [1, 4, 11])
def test_no_image_comes_twice_in_an_epoch(batch_size):
    batches = ImageBatches(IMAGES, batch_size)
    assert {len(b) for b in epoch(batches)} == {batch_size}
    seen = order(batches)
    assert len(seen) == len(set(seen)) == 11 // batch_size * batch_size


def test_images_that_wait_come_in_a_later_epoch():
    batches = ImageBatches(IMAGES, 4)
    seen = set()
    for number in range(10):
        batches.set_epoch(number)
        seen |= set(order(batches))
    assert seen == set(range(11))


def test_without_shuffling_every_image_comes_in_its_place():
    batches = ImageBatches(IMAGES, 4, shuffle=False)
    assert [len(b) for b in epoch(batches)] == [4, 4, 3]
    for _ in range(2):
        np.testing.assert_array_equal(np.concatenate(epoch(batches)), IMAGES)
        batches.on_epoch_end()


def test_half_of_the_images_are_mirrored():
    many = np.tile(IMAGES[:1], (400, 1, 1, 1))
    batches = ImageBatches(many, 100, flip=True, seed=1)
    images = np.concatenate(epoch(batches))
    mirrored = np.all(images == many[:, :, ::-1], axis=(1, 2, 3))
    plain = np.all(images == many, axis=(1, 2, 3))
    assert np.all(mirrored ^ plain)
    assert 150 < mirrored.sum() < 250
    batches.on_epoch_end()
    assert np.any(np.concatenate(epoch(batches)) != images)
    batches.set_epoch(0)
    np.testing.assert_array_equal(np.concatenate(epoch(batches)), images)


def test_no_image_is_mirrored_unless_asked():
    batches = ImageBatches(IMAGES, 11, shuffle=False)
    np.testing.assert_array_equal(batches[0], IMAGES)


def test_a_file_may_stand_for_an_array(tmp_path):
    np.save(tmp_path / "images.npy", IMAGES)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    found = ImageBatches(mapped, 4, flip=True, seed=2)
    for a, e in zip(
        epoch(found),
        epoch(ImageBatches(IMAGES, 4, flip=True, seed=2)),
        strict=True,
    ):
        assert type(a) is np.ndarray
        np.testing.assert_array_equal(a, e)


def test_epochs_may_be_short_and_every_image_has_its_turn():
    batches = ImageBatches(IMAGES, 4, seed=3, max_batches=1)
    whole = ImageBatches(IMAGES, 4, seed=3)
    seen = set()
    for number in range(20):
        batches.set_epoch(number)
        whole.set_epoch(number)
        assert order(batches) == order(whole)[:4]
        seen |= set(order(batches))
    assert seen == set(range(11))
    assert len(ImageBatches(IMAGES, 4, max_batches=9)) == 2
    assert len(ImageBatches(IMAGES, 4, shuffle=False, max_batches=9)) == 3


def test_shortened_batches_leave_the_others_as_they_were():
    batches = ImageBatches(IMAGES, 4, seed=3)
    short = batches.shortened(1)
    short.set_epoch(1)
    expected = ImageBatches(IMAGES, 4, seed=3, max_batches=1)
    expected.set_epoch(1)
    assert order(short) == order(expected)
    assert len(batches) == 2 and batches.epoch == 0


def test_few_images_are_one_batch():
    batches = ImageBatches(IMAGES[:3], 32)
    assert len(batches) == 1 and len(batches[0]) == 3
    assert batches[0].dtype == IMAGES.dtype


# What `fit` takes


class Pairs(keras.utils.PyDataset):
    def __len__(self):
        return 2

    def __getitem__(self, index):
        return tiny.PIXELS[8 * index : 8 * index + 8]


def tf_data():
    tf = pytest.importorskip("tensorflow")
    return tf.data.Dataset.from_tensor_slices(tiny.PIXELS).batch(8)


def loader():
    torch = pytest.importorskip("torch")
    return torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(torch.as_tensor(tiny.PIXELS)),
        batch_size=8,
    )


def grain():
    return pytest.importorskip("grain").MapDataset.source(tiny.PIXELS).batch(8)


def grain_loader():
    grain = pytest.importorskip("grain")
    order = grain.samplers.SequentialSampler(16, grain.sharding.NoSharding())
    return grain.DataLoader(
        data_source=tiny.PIXELS,
        sampler=order,
        operations=[grain.transforms.Batch(8)],
        worker_count=0,
    )


def generator():
    while True:
        # Keras wants a tuple of a generator.
        yield (tiny.PIXELS[:8],)
        yield (tiny.PIXELS[8:],)


class Seen(keras.callbacks.Callback):
    """Counts what was trained on."""

    def __init__(self):
        super().__init__()
        self.batches = 0

    def on_train_batch_end(self, batch, logs=None):
        self.batches += 1


SOURCES = {
    "array": lambda: tiny.PIXELS,
    "floats": lambda: tiny.IMAGES,
    "ImageBatches": lambda: ImageBatches(tiny.PIXELS, 8),
    "PyDataset": Pairs,
    "tf.data": tf_data,
    "DataLoader": loader,
    "grain": grain,
    "grain_iterable": lambda: grain().to_iter_dataset(),
    "grain_loader": grain_loader,
    "generator": generator,
}


@pytest.fixture(scope="module")
def model():
    return tiny.compiled(tiny.model(0), "sgd")


@pytest.mark.parametrize("source", SOURCES)
def test_fit_takes_images_in_any_container(model, source):
    model.adapt(tiny.PIXELS)
    seen = Seen()
    data = SOURCES[source]()
    size = {"batch_size": 8} if source in ("array", "floats") else {}
    steps = {"steps_per_epoch": 2} if source == "generator" else {}
    history = model.fit(data, verbose=0, callbacks=[seen], **size, **steps)
    assert seen.batches == 2
    assert 0.2 < history.history["coarse_loss"][0] < 5


@pytest.mark.parametrize(
    "source",
    [
        "PyDataset",
        "tf.data",
        "DataLoader",
        "grain",
        "grain_iterable",
        "grain_loader",
    ],
)
def test_the_first_fit_reads_the_statistics(source):
    model = tiny.compiled(tiny.model(0), "sgd", **tiny.EAGERLY)
    expected = tiny.model(0)
    expected.adapt(tiny.PIXELS)
    model.fit(SOURCES[source](), verbose=0, steps_per_epoch=1)
    tiny.assert_equal(
        {"pyramid": tiny.weights(model)["pyramid"]},
        {"pyramid": tiny.weights(expected)["pyramid"]},
        1e-5,
    )


def test_epochs_go_on_over_several_fits():
    batches = ImageBatches(tiny.PIXELS, 8)
    model = tiny.compiled(tiny.model(0), "sgd", **tiny.EAGERLY)
    model.fit(batches, epochs=2, verbose=0)
    assert model.epochs_trained == 2
    orders = []
    for first in (2, 3):
        record = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda b, logs: orders.append(
                list(batches.order)
            )
        )
        model.fit(
            batches,
            initial_epoch=first,
            epochs=first + 1,
            verbose=0,
            callbacks=[record],
        )
    assert model.epochs_trained == 4
    expected = []
    for number in (2, 2, 3, 3):
        batches.set_epoch(number)
        expected.append(list(batches.order))
    assert orders == expected
