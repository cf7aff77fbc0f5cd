"""Presets from the Hub: the real client, and a server that counts."""

import errno
import os
import shutil
import threading
from contextlib import nullcontext as nothing

import huggingface_hub
import keras
import pytest
from huggingface_hub import constants

import keras_wmgm
from keras_wmgm import WMGM
from keras_wmgm.presets import folder as folders
from tests.hub.server import TOKEN
from tests.models import tiny


def drawn(model):
    return model.generate(2, num_steps=2, seed=5, verbose=0)


def files_in(cache):
    """Return the blobs of a cache: one for each file it holds."""
    return sorted(
        p.name for p in cache.glob("models--*/blobs/*") if p.is_file()
    )


def test_a_preset_on_the_hub_is_the_folder_it_was(hub, preset, cache):
    hub.add("me/tiny", preset)
    model = keras_wmgm.from_preset("hf://me/tiny", cache_dir=cache)
    local = keras_wmgm.from_preset(preset)
    tiny.assert_equal(tiny.weights(model), tiny.weights(local))
    assert (drawn(model) == drawn(local)).all()
    assert len(files_in(cache)) == 3


def test_a_pinned_preset_asks_nothing_once_it_is_cached(hub, preset, cache):
    commit = hub.add("me/tiny", preset)
    handle = f"hf://me/tiny@{commit}"
    keras_wmgm.from_preset(handle, cache_dir=cache)
    asked = len(hub.requests)
    assert asked
    keras_wmgm.from_preset(handle, cache_dir=cache)
    assert len(hub.requests) == asked


def test_a_branch_gives_what_is_newest_and_a_commit_what_it_was(
    hub, preset, cache, tmp_path
):
    first = hub.add("me/tiny", preset)
    changed = shutil.copytree(preset, tmp_path / "changed")
    path = changed / "config.json"
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 7'))
    hub.add("me/tiny", changed)
    for handle, seed in (
        ("hf://me/tiny", 7),
        ("hf://me/tiny@main", 7),
        (f"hf://me/tiny@{first}", 0),
    ):
        model = keras_wmgm.from_preset(handle, cache_dir=cache)
        assert model.seed == seed, handle


def test_without_weights_none_are_fetched(hub, preset, cache):
    hub.add("me/tiny", preset, leave_out=["model.weights.h5"])
    model = keras_wmgm.from_preset("hf://me/tiny", False, cache_dir=cache)
    assert not model.adapted
    assert len(files_in(cache)) == 2


def test_a_class_refuses_anothers_preset_before_its_weights(hub, preset, cache):
    hub.add("me/tiny", preset)
    with pytest.raises(ValueError, match="is a `MultiscaleModel`.*Received"):
        WMGM.from_preset("hf://me/tiny", cache_dir=cache)
    assert len(files_in(cache)) == 2
    assert not any("/lfs/" in path for path, _ in hub.sent)


def test_a_private_repository_is_read_with_a_token(hub, preset, cache):
    hub.add("me/tiny", preset, private=True)
    options = {"cache_dir": cache, "token": TOKEN}
    assert keras_wmgm.from_preset("hf://me/tiny", **options).adapted


def test_cached_files_serve_where_the_hub_does_not(hub, preset, cache, silence):
    hub.add("me/tiny", preset)
    keras_wmgm.from_preset("hf://me/tiny", cache_dir=cache)
    asked = len(hub.requests)
    options = {"cache_dir": cache, "local_files_only": True}
    assert keras_wmgm.from_preset("hf://me/tiny", **options).adapted
    assert len(hub.requests) == asked
    hub.faults = {"": 500}
    assert keras_wmgm.from_preset("hf://me/tiny", cache_dir=cache).adapted
    silence()
    assert keras_wmgm.from_preset("hf://me/tiny", cache_dir=cache).adapted


@pytest.mark.parametrize("part", ["/resolve/", "/lfs/"])
def test_a_copy_stays_in_use_until_the_new_one_is_whole(
    hub, preset, cache, tmp_path, slept, part
):
    hub.add("me/tiny", preset)
    keras_wmgm.from_preset("hf://me/tiny", cache_dir=cache)
    newer = keras_wmgm.from_preset(preset)
    old = tiny.weights(newer)
    newer.coarse.network.set_weights(
        [w + 1 for w in newer.coarse.network.get_weights()]
    )
    newer.save_to_preset(tmp_path / "newer")
    hub.add("me/tiny", tmp_path / "newer")
    hub.faults = {part: 500}
    with pytest.warns(match="newer commit") if part == "/lfs/" else nothing():
        model = keras_wmgm.from_preset("hf://me/tiny", cache_dir=cache)
    tiny.assert_equal(tiny.weights(model), old)
    options = {"cache_dir": cache, "local_files_only": True}
    model = keras_wmgm.from_preset("hf://me/tiny", **options)
    tiny.assert_equal(tiny.weights(model), old)
    hub.faults = {}
    model = keras_wmgm.from_preset("hf://me/tiny", cache_dir=cache)
    tiny.assert_equal(tiny.weights(model), tiny.weights(newer))


def test_broken_transfers_are_gone_on_with(hub, preset, cache, monkeypatch):
    # The client goes on from whole chunks, of 10 MiB unless told otherwise.
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 10 * 2**10)
    hub.add("me/tiny", preset)
    hub.cut_every = 3
    model = keras_wmgm.from_preset("hf://me/tiny", cache_dir=cache)
    tiny.assert_equal(
        tiny.weights(model), tiny.weights(keras_wmgm.from_preset(preset))
    )
    ranges = [r for path, r in hub.sent if "/lfs/" in path]
    half = (preset / "model.weights.h5").stat().st_size // 2
    assert ranges == [None, f"bytes={half // 10240 * 10240}-"]


def test_a_file_that_was_damaged_is_fetched_anew(hub, preset, cache):
    commit = hub.add("me/tiny", preset)
    handle = f"hf://me/tiny@{commit}"
    keras_wmgm.from_preset(handle, cache_dir=cache)
    (weights,) = cache.glob("models--*/snapshots/*/model.weights.h5")
    whole = weights.read_bytes()
    weights.resolve().write_bytes(whole[:-1] + b"x")
    with pytest.raises(ValueError, match="has been removed.*Received"):
        keras_wmgm.from_preset(handle, cache_dir=cache)
    assert not weights.exists()
    assert keras_wmgm.from_preset(handle, cache_dir=cache).adapted
    assert weights.read_bytes() == whole


def test_a_snapshot_of_the_cache_is_a_folder_too(hub, preset, cache):
    hub.add("me/tiny", preset)
    keras_wmgm.from_preset("hf://me/tiny", cache_dir=cache)
    (folder,) = cache.glob("models--*/snapshots/*")
    assert (folder / folders.WEIGHTS).is_symlink()
    model = keras_wmgm.from_preset(folder)
    assert model.adapted
    assert keras.saving.load_model(folder).adapted


def test_threads_that_ask_at_once_share_one_copy(hub, preset, cache):
    hub.add("me/tiny", preset)
    found = []

    def load():
        found.append(keras_wmgm.from_preset("hf://me/tiny", cache_dir=cache))

    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3
    assert len(files_in(cache)) == 3


@pytest.fixture
def read_only(monkeypatch):
    """Caches to which nothing can be written."""
    snapshot = huggingface_hub.snapshot_download

    def download(*args, **kwargs):
        if not kwargs.get("local_files_only"):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), "refs/main")
        return snapshot(*args, **kwargs)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)


def test_a_read_only_cache_serves_what_it_has(hub, preset, cache, request):
    hub.add("me/tiny", preset)
    keras_wmgm.from_preset("hf://me/tiny", cache_dir=cache)
    request.getfixturevalue("read_only")
    hub.add("me/tiny", preset)  # a newer commit, which cannot be kept
    with pytest.warns(UserWarning, match="hf://me/tiny@main may be newer"):
        model = keras_wmgm.from_preset("hf://me/tiny", cache_dir=cache)
    local = keras_wmgm.from_preset(preset)
    tiny.assert_equal(tiny.weights(model), tiny.weights(local))


def test_a_cache_that_cannot_be_written_is_named(hub, preset, cache, read_only):
    hub.add("me/tiny", preset)
    with pytest.raises(OSError, match="make room.*HF_HOME.*Received") as error:
        keras_wmgm.from_preset("hf://me/tiny", cache_dir=cache)
    assert error.value.errno == errno.EROFS
    assert str(cache) in str(error.value) and "refs/main" in str(error.value)
