import zipfile

import numpy as np
import pytest
from PIL import Image

from keras_wmgm import data
from keras_wmgm.data.image_folder import image_files
from keras_wmgm.data.image_folder import load_image


def picture(height, width, colour=(200, 100, 50)):
    values = np.zeros((height, width, 3), "uint8")
    values[:] = colour
    values[:, : width // 2] //= 2
    return Image.fromarray(values)


@pytest.fixture
def folder(tmp_path):
    """Three images in two folders, and what is none."""
    (tmp_path / "b").mkdir()
    picture(16, 16, (200, 0, 0)).save(tmp_path / "a.png")
    picture(16, 32, (0, 200, 0)).save(tmp_path / "b" / "wide.png")
    picture(32, 16, (0, 0, 200)).save(tmp_path / "c.bmp")
    (tmp_path / "notes.txt").write_text("no image")
    picture(16, 16).save(tmp_path / ".hidden.png")
    return tmp_path


def test_images_come_in_the_order_of_their_names(folder):
    images = data.load_images(folder, 8)
    assert images.shape == (3, 8, 8, 3) and images.dtype == np.uint8
    brightest = images.max(axis=(1, 2)).argmax(axis=1)
    assert brightest.tolist() == [0, 1, 2]


def test_the_middle_is_cut_out_or_all_is_kept(folder):
    cut, stretched = (
        data.load_images(folder, (8, 4), crop=crop)
        for crop in ("center", "stretch")
    )
    assert cut.shape == stretched.shape == (3, 8, 4, 3)
    # The left half is darker in both.
    for images in (cut, stretched):
        assert np.all(images[:, :, 0].max(-1) < images[:, :, -1].max(-1))
    wide = data.load_images(folder, (16, 16))[1]
    np.testing.assert_array_equal(wide[0, :, 1], [100] * 8 + [200] * 8)


def test_a_zip_file_is_a_folder(folder, tmp_path):
    path = tmp_path / "images.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("a.png", "b/wide.png", "c.bmp", "notes.txt"):
            archive.write(folder / name, name)
    expected = data.load_images(folder, 8)
    np.testing.assert_array_equal(data.load_images(path, 8), expected)
    inside = data.load_images(f"{path}:b", 8)
    np.testing.assert_array_equal(inside, expected[1:2])


def test_modes_become_colour_or_grey(tmp_path):
    grey = Image.fromarray(np.full((8, 8), 90, "uint8"))
    grey.save(tmp_path / "1.png")
    clear = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    clear.save(tmp_path / "2.png")
    deep = Image.fromarray(np.full((8, 8), 257 * 40, "uint16"))
    deep.save(tmp_path / "3.png")
    for channels in (1, 3):
        images = data.load_images(tmp_path, 8, channels=channels)
        assert images.shape == (3, 8, 8, channels)
        values = images.reshape(3, -1)
        np.testing.assert_array_equal(values.min(1), values.max(1))
        assert values[:, 0].tolist() == [90, 255, 40]


def test_photographs_are_turned_as_they_say(tmp_path):
    image = picture(8, 8)
    exif = image.getexif()
    exif[0x0112] = 3  # upside down
    image.save(tmp_path / "a.png", exif=exif)
    found = data.load_images(tmp_path, 8)[0]
    np.testing.assert_array_equal(found, np.asarray(image)[::-1, ::-1])


def test_a_folder_gives_batches(folder):
    batches = data.image_folder(folder, 8, batch_size=2, flip=True, seed=3)
    assert isinstance(batches, data.ImageBatches)
    assert (batches.batch_size, batches.flip, batches.seed) == (2, True, 3)
    np.testing.assert_array_equal(batches.images, data.load_images(folder, 8))


def test_what_cannot_be_read_is_named_or_left_out(folder, capsys):
    (folder / "broken.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match="1 of 4 .*broken.png.*Received: "):
        data.load_images(folder, 8)
    assert len(data.load_images(folder, 8, on_error="skip")) == 3
    assert "left out: broken.png" in capsys.readouterr().out
    # Nothing is enlarged.
    with pytest.raises(ValueError, match="smaller than 20x20"):
        data.load_images(folder, 20)


@pytest.mark.parametrize(
    "change, text",
    [
        ({"crop": "centre"}, "Did you mean 'center'"),
        ({"channels": 4}, "`channels` must be one of 1, 3"),
        ({"on_error": "skipp"}, "Did you mean 'skip'"),
        ({"image_size": 0}, "`image_size` must be"),
        ({"image_size": (8, 8, 3)}, "`image_size` must be"),
        ({"path": "no/such/folder"}, "from a folder or a zip file"),
        ({"path": "no.zip:train"}, "There is no zip file"),
    ],
)
def test_other_arguments_are_refused(folder, change, text):
    arguments = {"path": folder, "image_size": 8, **change}
    with pytest.raises((ValueError, OSError), match=f"{text}.*Received: "):
        data.load_images(**arguments)


def test_a_folder_without_images_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no image here.*Received: "):
        data.load_images(tmp_path, 8)


def test_a_folder_of_an_images_name_is_none(folder):
    (folder / "d.png").mkdir()
    assert len(data.load_images(folder, 8)) == 3
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        archive.mkdir("d.png")
        archive.write(folder / "a.png", "a.png")
    assert len(data.load_images(folder / "a.zip", 8)) == 1


def test_image_files_are_those_in_folders_within_too(folder):
    names = [str(p.relative_to(folder)) for p in image_files(folder)]
    assert names == ["a.png", "b/wide.png", "c.bmp"]


def test_one_image_keeps_its_size(folder):
    grey = load_image(folder / "b" / "wide.png", channels=1)
    assert grey.shape == (16, 32, 1) and grey.dtype == np.uint8
    colour = load_image(folder / "c.bmp")
    np.testing.assert_array_equal(colour, picture(32, 16, (0, 0, 200)))
    with pytest.raises(FileNotFoundError, match="no image. Received: "):
        load_image(folder / "none.png")
    with pytest.raises(ValueError, match="cannot be read.*notes.txt"):
        load_image(folder / "notes.txt")


def test_a_zip_file_that_is_cut_off_is_called_that(folder):
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        archive.write(folder / "a.png", "a.png")
    whole = (folder / "a.zip").read_bytes()
    (folder / "a.zip").write_bytes(whole[:-30])
    with pytest.raises(ValueError, match="not a complete zip file. Received: "):
        data.load_images(folder / "a.zip", 8)


def test_members_that_cannot_be_read_are_named(folder, capsys):
    """One is encrypted by its flag, and one damaged in its bytes."""
    path = folder / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("damaged.png", "good.png", "locked.png"):
            archive.write(folder / "a.png", name)
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        start = archive.getinfo("damaged.png").header_offset
        content[start + 60] ^= 255
        # Bit 0 of the flags, in the member's header and in the directory.
        content[archive.getinfo("locked.png").header_offset + 6] |= 1
    directory = content.rindex(b"locked.png") - 46
    content[directory + 8] |= 1
    path.write_bytes(content)
    text = r"2 of 3 .*damaged.png: Bad CRC.*locked.png: .* is encrypted"
    with pytest.raises(ValueError, match=text):
        data.load_images(path, 8)
    assert len(data.load_images(path, 8, on_error="skip")) == 1
    lines = capsys.readouterr().out.splitlines()
    names = [line.split(":")[1].strip() for line in lines]
    assert names == ["damaged.png", "locked.png"]
