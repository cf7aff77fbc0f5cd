"""Which files of a folder or a zip file are read, and what is said of others.

`fifo`, links and the like are those of POSIX systems.
"""

import os
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_wmgm import data


def save(path, color="red", **kwargs):
    Image.new("RGB", (8, 8), color).save(path, **kwargs)


def pack(path, *names, folder=None):
    """Put files of a folder, by default the zip file's own, into it."""
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.write((folder or path.parent) / name, name)


def names_read(folder):
    return [p.relative_to(folder).as_posix() for p in data.image_files(folder)]


def test_endings_are_those_of_pillow_in_any_case(tmp_path):
    formats = {
        "a.jfif": "JPEG",
        "b.ppm": "PPM",
        "c.TGA": "TGA",
        "d.jp2": "JPEG2000",
        "e.JPG": "JPEG",
        "f.mpo": "JPEG",
        "g.webp": "WEBP",
    }
    for name, kind in formats.items():
        save(tmp_path / name, format=kind)
    assert names_read(tmp_path) == list(formats)
    assert len(data.load_images(tmp_path, 8)) == len(formats)


def test_a_file_without_an_ending_is_read_if_it_is_an_image(tmp_path, capsys):
    save(tmp_path / "photo", format="JPEG")
    (tmp_path / "LICENSE").write_text("Anyone may use this.")
    (tmp_path / "noise").write_bytes(bytes(range(256)))
    assert names_read(tmp_path) == ["photo"]
    assert "2 (LICENSE, noise)" in capsys.readouterr().out
    pack(tmp_path / "a.zip", "photo", "LICENSE")
    assert len(data.load_images(tmp_path / "a.zip", 8)) == 1


def test_what_is_left_out_is_counted_with_some_names(tmp_path, capsys):
    save(tmp_path / "a.png")
    for number in range(1000):
        (tmp_path / f"{number:03}.txt").touch()
    for name in ("b.heic", "c.tar", "d.zip", "e.h5", "f.eps", "g.pdf"):
        (tmp_path / name).touch()
    (tmp_path / ".DS_Store").touch()
    assert len(data.load_images(tmp_path, 8)) == 1
    archives, others, heif = capsys.readouterr().out.splitlines()
    assert others.endswith(
        ": 1003 (000.txt, 001.txt, 002.txt, 003.txt, 004.txt, ...)"
    )
    assert "unpacked first: 2 (c.tar, d.zip)" in archives
    assert "pillow-heif" in heif and heif.endswith(": 1 (b.heic)")


def test_a_folder_and_a_zip_file_have_one_order(tmp_path):
    (tmp_path / "a").mkdir()
    colors = {"a.png": 10, "a/b.png": 20, "a-c.png": 30}
    for name, value in colors.items():
        save(tmp_path / name, (value, 0, 0))
    expected = data.load_images(tmp_path, 8)
    assert expected[:, 0, 0, 0].tolist() == [20, 30, 10]
    pack(tmp_path / "a.zip", *colors)
    np.testing.assert_array_equal(
        data.load_images(tmp_path / "a.zip", 8), expected
    )


def test_a_tilde_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / "photos").mkdir()
    save(tmp_path / "photos" / "a.png")
    pack(tmp_path / "a.zip", "photos/a.png")
    expected = data.load_image(tmp_path / "photos" / "a.png")
    np.testing.assert_array_equal(data.load_image("~/photos/a.png"), expected)
    assert data.image_files("~/photos") == [tmp_path / "photos" / "a.png"]
    for path in ("~/photos", Path("~/photos"), "~/a.zip", "~/a.zip:photos"):
        np.testing.assert_array_equal(data.load_images(path, 8), expected[None])


def test_the_ending_of_a_zip_file_is_of_any_case(tmp_path):
    save(tmp_path / "a.png")
    pack(tmp_path / "A.ZIP", "a.png")
    (tmp_path / "b").mkdir()
    assert data.load_images(tmp_path / "A.ZIP", 8).shape == (1, 8, 8, 3)
    with pytest.raises(ValueError, match="no image here. Received: "):
        data.load_images(f"{tmp_path / 'A.ZIP'}:b", 8)


@pytest.mark.parametrize(
    "path, text",
    [
        ("a.png", "this is one image: give its folder, or use `load_image`"),
        ("photo", "this is one image"),
        ("*.png", "A pattern is not expanded: give the folder"),
        ("b.tar", "another archive: unpack it"),
        ("b.tar.gz", "another archive: unpack it"),
        ("cut.zip", "not a complete zip file"),
        ("cut.zip:train", "not a complete zip file"),
        ("outer.zip", "There is no image here"),
        ("pipe", "cannot be read: it is not a regular file"),
        ("a\0b", "there is none"),
    ],
)
def test_what_is_neither_is_told_what_to_do(tmp_path, capsys, path, text):
    save(tmp_path / "a.png")
    save(tmp_path / "photo", format="PNG")
    (tmp_path / "b.tar").touch()
    (tmp_path / "b.tar.gz").touch()
    pack(tmp_path / "inner.zip", "a.png")
    pack(tmp_path / "outer.zip", "inner.zip")
    whole = (tmp_path / "inner.zip").read_bytes()
    (tmp_path / "cut.zip").write_bytes(whole[:-30])
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises((FileNotFoundError, ValueError), match=text) as error:
        data.load_images(tmp_path / path, 8)
    assert re.search(r"Received: .+$", str(error.value))
    if path == "outer.zip":
        assert "unpacked first: 1 (inner.zip)" in capsys.readouterr().out


def test_what_is_no_file_is_one_unreadable_image(tmp_path, capsys):
    save(tmp_path / "a.png")
    os.mkfifo(tmp_path / "b.png")
    (tmp_path / "c.png").symlink_to(tmp_path / "none")
    (tmp_path / "d").symlink_to(tmp_path)
    os.symlink(tmp_path / "a.png", os.fsencode(tmp_path) + b"/e\xff.png")
    text = "2 of 4 .*b.png: it is not a regular file; c.png: .*No such file"
    with pytest.raises(ValueError, match=text):
        data.load_images(tmp_path, 8)
    assert len(data.load_images(tmp_path, 8, on_error="skip")) == 2
    said = capsys.readouterr().out.splitlines()
    assert said[-3] == "left out, linked folders: 1 (d)"
    assert [line[:15] for line in said[-2:]] == [
        "left out: b.png",
        "left out: c.png",
    ]


def test_what_has_no_ending_and_is_no_file_is_left_out(tmp_path, capsys):
    save(tmp_path / "a.png")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "lock").symlink_to(tmp_path / "none")
    assert len(data.load_images(tmp_path, 8)) == 1
    said = capsys.readouterr().out
    assert said.endswith("special files: 2 (lock, pipe)\n")


def test_members_of_any_name_are_read_or_named(tmp_path, capsys):
    save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        for name in ("in\\a.png", "in\\b\\c.png", "d.png", "../e.png"):
            archive.writestr(name, content)
        archive.writestr("in\\empty\\", b"")
    assert len(data.load_images(tmp_path / "b.zip", 8)) == 3
    said = capsys.readouterr().out
    assert said.endswith("archive by their names: 1 (../e.png)\n")
    for inside, count in (("in", 2), ("in/b", 1), ("in\\b", 1)):
        found = data.load_images(f"{tmp_path / 'b.zip'}:{inside}", 8)
        assert len(found) == count


def test_a_home_that_is_nobody_s_is_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "~nobody-of-this-name").mkdir()
    save(tmp_path / "~nobody-of-this-name" / "a.png")
    assert len(data.load_images("~nobody-of-this-name", 8)) == 1
    (file,) = data.image_files("~nobody-of-this-name")
    assert file == Path("~nobody-of-this-name") / "a.png"


def test_a_name_that_cannot_be_printed_is_escaped(tmp_path, capsys):
    save(tmp_path / "a.png")
    bad = os.fsdecode(os.fsencode(tmp_path) + b"/e\xff.png")
    Path(bad).write_bytes(b"no image")
    data.load_images(tmp_path, 8, on_error="skip")
    assert r"left out: e\udcff.png: " in capsys.readouterr().out


def test_a_folder_that_cannot_be_listed_is_one_unreadable_image(
    tmp_path, monkeypatch
):
    (tmp_path / "private").mkdir()
    save(tmp_path / "a.png")
    scan = os.scandir

    def scandir(path):
        if Path(path).name == "private":
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(ValueError, match="1 of 2 .*private: .*denied"):
        data.load_images(tmp_path, 8)
    assert len(data.load_images(tmp_path, 8, on_error="skip")) == 1
    with pytest.raises(ValueError, match="1 of 1 .*Permission denied"):
        data.load_images(tmp_path / "private", 8)
