"""What a file is, by its content and by its name; and what an error says to do about it."""

import numpy as np
import pytest
from nlmeans.cli import exits

from nlmeans.images import FORMATS, ImageReadError, ImageWriteError, Picture, load, save
from nlmeans.images.formats import PICTURES, VIDEOS, format_for, suffix_of


def test_suffixes_are_of_one_format_each():
    every = [suffix for each in PICTURES for suffix in each.suffixes] + list(VIDEOS)
    assert sorted(every) == sorted(set(every))
    for suffix, name in FORMATS.items():
        assert format_for(f"folder.png/A.B{suffix.upper()}").name == name


def test_a_suffix_may_have_several_parts():
    known = (".gz", ".nii.gz", ".png")
    assert suffix_of("a.b.NII.gz", known) == ".nii.gz"
    assert suffix_of("a.tar.gz", known) == ".gz"
    assert suffix_of("nii.gz", known) == ".gz"
    for name in (".nii.gz", ".png", "png", "a.png.txt", "a"):
        assert suffix_of(name, known) == ("" if name != ".nii.gz" else ".gz")


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"\0\0\0\x20ftypisom", "a video (MP4); only `nlmeans denoise` reads video"),
        (b"\0\0\0\x20ftypmp42", "a video (MP4); only"),
        (b"\0\0\0\x14ftypqt  ", "a video (QuickTime); only"),
        (b"\x1aE\xdf\xa3", "a video (Matroska or WebM); only"),
        (b"RIFF\x10\0\0\0AVI LIST", "a video (AVI); only"),
        (b"\0\0\1\xba", "a video (MPEG); only"),
        (b"\0\0\0\x20ftypavif", "AVIF; PNG, JPEG"),
        (b"\0\0\0\x20ftypheic", "HEIC; PNG, JPEG"),
        (b"\0\0\0\x20ftypmif1", "HEIF; PNG, JPEG"),
        (b"\0\0\0\x18ftypcrx ", "CR3 raw; PNG, JPEG"),
        (b"\0\0\1\0\1\0", "icon (ICO); PNG, JPEG"),
        (b"RIFF\x10\0\0\0WAVEfmt ", "of an unknown kind; PNG, JPEG"),
    ],
)
def test_what_is_not_read_is_named_with_what_to_do(tmp_path, content, what):
    for name in ("a", "a.png"):
        (tmp_path / name).write_bytes(content + bytes(40))
        with pytest.raises(ImageReadError) as caught:
            load(tmp_path / name)
        assert f"{name}: is {what}" in str(caught.value)
        assert str(caught.value).endswith("first")


def test_each_side_names_its_own_way_to_overwrite(tmp_path, cli):
    picture = Picture(np.zeros((8, 8), np.uint8), alpha=False, format="PNG")
    save(tmp_path / "a.png", picture)
    with pytest.raises(ImageWriteError, match=r"exists already: .*, or pass overwrite=True$"):
        save(tmp_path / "a.png", picture)
    save(tmp_path / "b.png", picture)
    code, _, err = cli("denoise", "a.png", "-o", "b.png", "--sigma", "5")
    assert code == exits.FAILED
    assert err.endswith("exists already: choose another name, or use --overwrite\n")
