"""Batches in whatever holds them: found, checked, and none lost."""

import itertools
import warnings
from collections import UserDict

import keras
import numpy as np
import pytest

from keras_wmgm.data import ImageBatches
from keras_wmgm.data import streams
from keras_wmgm.models import WaveletPyramid
from keras_wmgm.training import fit_data
from keras_wmgm.utils.images import check_images
from tests.helpers import to_numpy
from tests.models import tiny

pytestmark = pytest.mark.each

SHAPE = (8, 8, 1)
IMAGES, PIXELS = tiny.IMAGES, tiny.PIXELS
LABELS = np.arange(16)
NAN = IMAGES.copy()
NAN[12, 0, 0, 0] = np.nan


class Pairs(keras.utils.PyDataset):
    """Two batches, and what is told about epochs."""

    def __init__(self, images, wrap, **kwargs):
        super().__init__(**kwargs)
        self.batches = [wrap(images[:8]), wrap(images[8:])]
        self.told = []

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return self.batches[index]

    def on_epoch_begin(self):
        self.told.append("begin")

    def on_epoch_end(self):
        self.told.append("end")


class Loader:
    """As a torch `DataLoader`: a length, and an iterator for every epoch."""

    def __init__(self, images, wrap):
        self.pairs = Pairs(images, wrap)

    def __len__(self):
        return 2

    def __iter__(self):
        return iter(self.pairs.batches)


def generator(images, wrap):
    yield from Loader(images, wrap)


def tf_data(images, wrap):
    tf = pytest.importorskip("tensorflow")
    labels = np.arange(len(images))
    data = tf.data.Dataset.from_tensor_slices((images, labels)).batch(8)
    return data.map(lambda images, labels: wrap(images))


def grain(images, wrap):
    grain = pytest.importorskip("grain")
    data = grain.MapDataset.source(images).batch(8).map(wrap)
    return data.to_iter_dataset()


CONTAINERS = {
    "PyDataset": Pairs,
    "loader": Loader,
    "iterator": lambda *args: iter(Loader(*args)),
    "generator": generator,
    "tf.data": tf_data,
    "grain": grain,
}
CHECKED = ("PyDataset", "loader", "iterator", "generator")
WRAPS = {
    "alone": lambda images: images,
    "tuple": lambda images: (images,),
    "labels": lambda images: (images, images[:, 0, 0, 0]),
    "dictionary": lambda images: {"image": images},
    "more entries": lambda images: {
        "label": images[:, 0, 0, 0],
        "image": images,
    },
    "nested": lambda images: ({"image": images}, images[:, 0, 0, 0]),
}


def batches_of(stream):
    """Return the images that Keras would get."""
    if isinstance(stream, keras.utils.PyDataset):
        stream = [stream[i] for i in range(stream.num_batches)]
    images = [streams.image_of(batch) for batch in stream]
    return [keras.ops.convert_to_numpy(batch) for batch in images]


@pytest.mark.parametrize("wrap", WRAPS)
@pytest.mark.parametrize("container", CONTAINERS)
def test_keras_gets_all_images_and_nothing_else(container, wrap):
    data = CONTAINERS[container](PIXELS, WRAPS[wrap])
    stream = streams.checked_stream(data, SHAPE)
    batches = batches_of(stream)
    assert [len(batch) for batch in batches] == [8, 8]
    np.testing.assert_array_equal(np.concatenate(batches), PIXELS)
    assert batches[0].dtype == np.uint8


@pytest.mark.parametrize("wrap", WRAPS)
@pytest.mark.parametrize("container", CONTAINERS)
def test_adapt_takes_what_fit_takes(container, wrap):
    found, expected = (WaveletPyramid(SHAPE, 1) for _ in range(2))
    found.adapt(CONTAINERS[container](PIXELS, WRAPS[wrap]))
    expected.adapt(PIXELS)
    for weight, other in zip(found.weights, expected.weights, strict=True):
        np.testing.assert_allclose(
            to_numpy(weight), to_numpy(other), 1e-5, 1e-6
        )


def test_adapt_reads_what_a_data_set_yields():
    data = Pairs(IMAGES, WRAPS["alone"])
    data.images = PIXELS[:1]  # of no meaning to us
    found, expected = (WaveletPyramid(SHAPE, 0) for _ in range(2))
    found.adapt(data)
    expected.adapt(IMAGES)
    assert float(to_numpy(found.count)) == 16
    std = to_numpy(found.statistics["low_0"][1])
    np.testing.assert_allclose(std, to_numpy(expected.statistics["low_0"][1]))


def test_adapt_reads_all_images_of_short_epochs():
    pyramid = WaveletPyramid(SHAPE, 0)
    pyramid.adapt(ImageBatches(PIXELS, 4, max_batches=1))
    assert float(to_numpy(pyramid.count)) == 16


def test_an_iterable_starts_anew_with_every_epoch():
    stream = streams.checked_stream(Loader(PIXELS, WRAPS["tuple"]), SHAPE)
    (first,) = stream[0]
    for _ in range(2):
        np.testing.assert_array_equal(batches_of(stream)[0], first)


def test_a_dataset_keeps_its_workers_and_hears_of_epochs():
    options = {"workers": 3, "use_multiprocessing": True, "max_queue_size": 7}
    data = Pairs(PIXELS, WRAPS["alone"], **options)
    stream = streams.checked_stream(data, SHAPE)
    assert {name: getattr(stream, name) for name in options} == options
    stream.on_epoch_begin()
    stream.on_epoch_end()
    assert data.told == ["begin", "end"]


@pytest.mark.parametrize("container", CHECKED)
def test_every_batch_is_checked(container):
    data = CONTAINERS[container](NAN, WRAPS["alone"])
    stream = streams.checked_stream(data, SHAPE)
    with pytest.raises(ValueError, match="must be finite.*Received: .*nan"):
        batches_of(stream)


TEXTS = {
    "255": (PIXELS.astype("float32"), r"look like \[0, 255\]: pass them as u"),
    "nan": (NAN[12:], "must be finite"),
    "int64": (PIXELS.astype("int64"), r"uint8'\)` first.*dtype=int64"),
    "objects": (PIXELS.astype(object), "must be uint8.*dtype=object"),
    "channels first": (np.moveaxis(PIXELS, -1, 1), "channels first: `np.mov"),
    "one image": (PIXELS[0], r"one image, not a batch: `x\[None\]`"),
    "no channels": (PIXELS[..., 0], r"is missing: `x\[..., None\]`"),
    "labels": (LABELS, "Are these labels"),
    "no image": (PIXELS[:0], "at least one image"),
    "other entries": ({"label": LABELS, "id": LABELS}, r"\['label', 'id'\]"),
    "two images": ({"a": PIXELS, "b": PIXELS}, r"\['a', 'b'\], and 2 such"),
}


@pytest.mark.parametrize("case", TEXTS)
def test_the_likely_cause_is_named(case):
    batch, text = TEXTS[case]
    with pytest.raises(ValueError, match=text):
        streams.checked_stream(iter([batch]), SHAPE)


@pytest.mark.parametrize("container", CONTAINERS)
def test_the_first_batch_is_refused_at_once(container):
    data = CONTAINERS[container](3 * IMAGES, WRAPS["tuple"])
    with pytest.raises(ValueError, match=r"finite and in \[-1, 1\]"):
        streams.checked_stream(data, SHAPE)


@pytest.mark.parametrize("data", [[], iter([])], ids=["list", "iterator"])
def test_no_batch_is_refused(data):
    with pytest.raises(ValueError, match="data has no batch"):
        streams.checked_stream(data, SHAPE)


def test_a_mapping_of_any_kind_is_a_dictionary():
    data = Loader(PIXELS, lambda x: UserDict(label=LABELS, image=x))
    batches = batches_of(streams.checked_stream(data, SHAPE))
    np.testing.assert_array_equal(np.concatenate(batches), PIXELS)


@pytest.mark.parametrize("empty", [(), [], ([],)])
def test_an_empty_batch_is_refused(empty):
    data = Loader(PIXELS, lambda x: empty)
    with pytest.raises(ValueError, match="hold images.*Received: an empty"):
        streams.checked_stream(data, SHAPE)


def test_a_length_that_is_too_long_is_told():
    class Long(Loader):
        def __len__(self):
            return 3

    stream = streams.checked_stream(Long(PIXELS, WRAPS["alone"]), SHAPE)
    with pytest.raises(ValueError, match="Long.*yielded 2 of 3 batches"):
        batches_of(stream)


def test_a_method_of_the_name_map_makes_no_data_set():
    class Unsized(Loader):
        __len__ = None

        def map(self, other):
            pytest.fail("this `map` is another")

    data = Unsized(PIXELS, WRAPS["alone"])
    assert streams.checked_stream(data, SHAPE) is data


def test_a_torch_loader_without_a_length_may_yield_dictionaries():
    torch = pytest.importorskip("torch")

    class Samples(torch.utils.data.IterableDataset):
        def __iter__(self):
            return iter([{"label": 1, "image": x} for x in images])

    images = list(IMAGES)
    loader = torch.utils.data.DataLoader(Samples(), batch_size=8)
    stream = streams.checked_stream(loader, SHAPE)
    for _ in range(2):
        found = np.concatenate(batches_of(stream))
        np.testing.assert_array_equal(found, IMAGES)
    assert list(next(iter(loader))) == ["label", "image"]
    images[12] = NAN[12]
    with pytest.raises(ValueError, match="must be finite"):
        batches_of(stream)


class Inverted(ImageBatches):
    """Batches of its own."""

    def __getitem__(self, index):
        return 255 - super().__getitem__(index)


def test_statistics_are_those_of_the_batches_of_a_subclass():
    data = Inverted(PIXELS, 4, shuffle=False)
    found = np.concatenate(list(streams.pixel_batches(data, SHAPE)))
    np.testing.assert_array_equal(found, (255 - PIXELS) / np.float32(127.5) - 1)


def test_a_subclass_is_evaluated_by_its_batches():
    data = Inverted(PIXELS, 4, shuffle=False)
    held_out, _ = fit_data.held_out_data(data, SHAPE, {})
    found = np.concatenate(batches_of(held_out))
    np.testing.assert_array_equal(found, 255 - PIXELS)


def test_bytes_are_not_read_to_be_checked():
    class OnDisk:
        shape, dtype = PIXELS.shape, PIXELS.dtype

        def __len__(self):
            return len(PIXELS)

    check_images(OnDisk(), SHAPE)


def test_a_dictionary_of_a_stream_that_cannot_be_mapped_is_refused():
    class Unsized(Loader):
        __len__ = None

    data = Unsized(PIXELS, WRAPS["dictionary"])
    with pytest.raises(ValueError, match="must have a length"):
        streams.checked_stream(data, SHAPE)


class Endless(Pairs):
    """Counts batches without end."""

    __len__ = None
    num_batches = None

    def __getitem__(self, index):
        return self.batches[index % 2]


def endless_tf_data():
    return tf_data(PIXELS, WRAPS["alone"]).repeat()


@pytest.mark.parametrize(
    "make",
    [lambda: Endless(PIXELS, WRAPS["alone"]), endless_tf_data],
    ids=["PyDataset", "tf.data"],
)
def test_statistics_of_endless_data_are_refused(make):
    pyramid = WaveletPyramid(SHAPE, 0)
    with pytest.raises(ValueError, match="has no end: pass data that ends"):
        pyramid.adapt(make())
    assert not pyramid.adapted


# Floats in [0, 1]

UNIT = (IMAGES + 1) / 2


@pytest.mark.parametrize(
    "act",
    [
        lambda p: p.adapt(UNIT),
        lambda p: p.adapt([UNIT[:8], UNIT[8:]]),
        lambda p: streams.checked_stream(iter([UNIT]), SHAPE),
    ],
    ids=["adapted array", "adapted batches", "stream"],
)
def test_floats_that_look_like_0_to_1_are_warned_of(act):
    with pytest.warns(UserWarning, match=r"Pass `2 \* x - 1`.*Received: low"):
        act(WaveletPyramid(SHAPE, 0))


@pytest.mark.parametrize(
    "images",
    [IMAGES, PIXELS, np.maximum(PIXELS, 128)],
    ids=["floats", "pixels", "bright pixels"],
)
def test_other_images_are_not_warned_of(images):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        WaveletPyramid(SHAPE, 0).adapt(images)
        streams.checked_stream(iter([images]), SHAPE)


def test_one_dark_batch_is_enough_for_the_statistics():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        WaveletPyramid(SHAPE, 0).adapt([UNIT, IMAGES])


@pytest.mark.parametrize("dtype", ["float16", "float64", "bfloat16"])
def test_floats_of_any_width(dtype):
    images = keras.ops.convert_to_numpy(keras.ops.cast(IMAGES, dtype))
    stream = streams.checked_stream(itertools.repeat(images), SHAPE)
    (batch,) = next(stream)
    np.testing.assert_array_equal(
        batch.astype("float32"), images.astype("float32")
    )
