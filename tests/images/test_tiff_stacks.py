"""TIFFs of many pages: what the file says of them is understood, and true of the output too."""

import io
import logging
import re

import numpy as np
import pytest
import tifffile
from PIL import Image
from test_images import assert_same, exif_of, random_pixels, read_or_none, tiff_bytes, write_refusal

from nlmeans import images
from nlmeans.images import ImageReadError, Metadata, Picture, load, save
from nlmeans.images.picture import SAMPLES, TiffLayout, TiffPages

GREY = {"photometric": "minisblack"}
PLAIN = {"metadata": None, **GREY}


def axes(letters, **more):
    return {"metadata": {"axes": letters}, **more}


# How tifffile writes an array of this shape: the stack it is, and the picture's axes in its letters
WRITTEN = {
    "plain": ((4, 20, 21), PLAIN, "I", "QYX"),
    "plain rgb": ((4, 20, 21, 3), {"metadata": None, "photometric": "rgb"}, "I", "QYXS"),
    "no axes": ((4, 20, 21), GREY, "I", "QYX"),
    "no axes, five": ((2, 3, 20, 21), GREY, "I", None),
    "depth": ((4, 20, 21), axes("ZYX", **GREY), "Z", "ZYX"),
    "time": ((4, 20, 21), axes("TYX", **GREY), "T", "TYX"),
    "depth rgb": ((4, 20, 21, 3), axes("ZYXS", photometric="rgb"), "Z", "ZYXS"),
    "depth, channels": ((4, 2, 20, 21), axes("ZCYX", **GREY), "Z", "ZYXC"),
    "channels": ((3, 20, 21), axes("CYX", **GREY), "", "YXC"),
    "one page listed": ((4, 20, 21), axes("ZYX", truncate=True, **GREY), "Z", "ZYX"),
    "imagej depth": ((4, 20, 21), axes("ZYX", imagej=True), "Z", "ZYX"),
    "imagej time": ((4, 20, 21), axes("TYX", imagej=True), "T", "TYX"),
    "imagej all": ((2, 4, 3, 20, 21), axes("TZCYX", imagej=True), "TZ", "TZYXC"),
    "imagej channels": ((2, 20, 21), axes("CYX", imagej=True), "", "YXC"),
    "imagej rgb": ((4, 20, 21, 3), axes("ZYXS", imagej=True), "Z", "ZYXS"),
    "imagej many": ((9, 20, 21), {"imagej": True}, "I", "CYX"),
    "ome depth": ((4, 20, 21), axes("ZYX", ome=True), "Z", "ZYX"),
    "ome time": ((4, 20, 21), axes("TYX", ome=True, compression="zlib", **GREY), "T", "TYX"),
    "ome all": ((2, 4, 3, 20, 21), axes("TZCYX", ome=True), "TZ", "TZYXC"),
    "ome time last": ((4, 2, 20, 21), axes("ZTYX", ome=True), "TZ", "TZYX"),
    "ome rgb": ((4, 20, 21, 3), axes("ZYXS", ome=True, photometric="rgb"), "Z", "ZYXS"),
}


def series(path):
    """What another reader makes of a file, without a word of complaint."""
    with tifffile.TiffFile(path) as file:
        return [(s.kind, s.axes, s.shape, s.asarray().tobytes()) for s in file.series]


@pytest.fixture(autouse=True)
def no_complaint(caplog):
    yield
    assert [r for r in caplog.records if r.levelno >= logging.ERROR] == []


@pytest.mark.parametrize("name", WRITTEN)
def test_the_stack_is_understood_and_stays_what_it_was(tmp_path, name):
    shape, options, stack, letters = WRITTEN[name]
    pixels = random_pixels(shape, "uint8" if 3 in shape[-1:] else "uint16")
    tifffile.imwrite(tmp_path / "a.tif", pixels, **options)
    found = load(tmp_path / "a.tif")
    assert found.stack == stack
    assert found.notes == ()
    assert found.pages == np.prod(found.pixels.shape[: len(stack)], dtype=int)
    if letters is None:
        expected = pixels.reshape(-1, 20, 21)
    else:
        written = options.get("metadata") or {"axes": letters}
        before = written["axes"]
        expected = np.transpose(pixels, [before.index(axis) for axis in letters])
    np.testing.assert_array_equal(found.pixels, expected)
    assert found.pixels.flags.c_contiguous
    assert save(tmp_path / "b.tif", found) == ()
    assert series(tmp_path / "b.tif") == series(tmp_path / "a.tif")
    assert_same(load(tmp_path / "b.tif"), found)
    save(tmp_path / "c.tif", load(tmp_path / "b.tif"))
    assert (tmp_path / "b.tif").read_bytes() == (tmp_path / "c.tif").read_bytes()


@pytest.mark.parametrize("stack", ["I", "Z", "T", "TZ"])
@pytest.mark.parametrize("channels", [(), (3,), (2,)])
def test_a_stack_from_nowhere_is_written_as_what_it_is(tmp_path, stack, channels):
    pixels = random_pixels((*(2, 3)[-len(stack) :], 7, 8, *channels))
    picture = Picture(pixels, channels == (2,), "TIFF", stack=stack)
    assert save(tmp_path / "a.tif", picture) == ()
    found = load(tmp_path / "a.tif")
    assert_same(found, picture)
    assert found.stack == stack


def test_axes_of_one_page_fall_away(tmp_path):
    pixels = random_pixels((1, 3, 7, 8, 1))
    save(tmp_path / "a.tif", Picture(pixels, False, "TIFF", stack="TZ"))
    found = load(tmp_path / "a.tif")
    assert found.stack == "Z"
    np.testing.assert_array_equal(found.pixels, pixels[0, ..., 0])
    save(tmp_path / "b.png", Picture(pixels[:, 0], False, "TIFF", stack="T"))
    assert load(tmp_path / "b.png").pixels.shape == (7, 8)


@pytest.mark.parametrize("dtype", SAMPLES)
def test_every_sample_type(tmp_path, dtype):
    picture = Picture(random_pixels((3, 7, 8), dtype), False, "TIFF", stack="Z")
    save(tmp_path / "a.tif", picture)
    assert_same(load(tmp_path / "a.tif"), picture)


@pytest.mark.parametrize(
    ("text", "stack"),
    [
        ("ImageJ=1.53t\nimages=4\nslices=4\nloop=false\n", "I"),
        ("ImageJ=1.53t\nimages=4\nslices=4\nspacing=2.0\n", "Z"),
        ("ImageJ=1.53t\nimages=4\nslices=4\nhyperstack=true\n", "Z"),
        ("ImageJ=1.53t\nimages=4\nframes=4\n", "T"),
        ("ImageJ=1.53t\nimages=7\nslices=7\nhyperstack=true\n", "I"),
        ("a stack of four", "I"),
    ],
)
def test_slices_of_a_plain_imagej_stack_may_be_anything(tmp_path, text, stack):
    pixels = random_pixels((4, 16, 16))
    (tmp_path / "a.tif").write_bytes(
        tiff_bytes(pixels, description=text, compression="zlib", **GREY)
    )
    found = load(tmp_path / "a.tif")
    assert found.stack == stack
    np.testing.assert_array_equal(found.pixels, pixels)
    save(tmp_path / "b.tif", found)
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        assert file.pages[0].description == text.strip()


def test_imagej_lists_one_page_of_a_large_stack(tmp_path):
    text = "ImageJ=1.53t\nimages=4\nslices=4\nhyperstack=true\n"
    pixels = random_pixels((4, 16, 16))
    (tmp_path / "a.tif").write_bytes(tiff_bytes(pixels, description=text, truncate=True, **GREY))
    found = load(tmp_path / "a.tif")
    assert found.stack == "Z"
    np.testing.assert_array_equal(found.pixels, pixels)
    save(tmp_path / "b.tif", found)
    assert series(tmp_path / "b.tif") == series(tmp_path / "a.tif")


@pytest.mark.parametrize("text", ["ImageJ=1.53t\nimages=4\nslices=4\n", None])
def test_pages_told_of_but_not_there_are_noted(tmp_path, text):
    options = {"description": text} if text else {"metadata": {}}
    data = tiff_bytes(random_pixels((4, 16, 16)), truncate=True, **options, **GREY)
    (tmp_path / "a.tif").write_bytes(data[:-100])
    found = load(tmp_path / "a.tif")
    assert found.pixels.shape == (16, 16)
    assert "the description tells of 4 pages, but the file holds 1" in found.notes


def test_a_description_gives_way_to_that_of_the_axes(tmp_path):
    exif = Image.Exif()
    exif[270] = "my words"
    metadata = Metadata(exif=exif.tobytes().removeprefix(b"Exif\0\0"))
    stack = Picture(random_pixels((3, 7, 8)), False, "TIFF", metadata, stack="Z")
    (note,) = save(tmp_path / "a.tif", stack)
    assert note == "TIFF description not kept: it tells what the pages are"
    assert load(tmp_path / "a.tif").stack == "Z"
    pages = Picture(stack.pixels, False, "TIFF", metadata, stack="I")
    assert save(tmp_path / "b.tif", pages) == ()
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        assert file.pages[0].description == "my words"


def test_what_imagej_says_is_kept(tmp_path):
    said = {"axes": "ZYX", "unit": "um", "spacing": 2.5, "Labels": ["a", "b", "c"], "Info": "µ"}
    pixels = random_pixels((3, 16, 17), "uint16")
    for order in "<>":
        tifffile.imwrite(
            tmp_path / "a.tif",
            pixels,
            imagej=True,
            metadata=said,
            byteorder=order,
            resolution=((25, 4), (25, 4)),
        )
        assert save(tmp_path / "b.tif", load(tmp_path / "a.tif"), overwrite=True) == ()
        with tifffile.TiffFile(tmp_path / "a.tif") as a, tifffile.TiffFile(tmp_path / "b.tif") as b:
            assert b.imagej_metadata == a.imagej_metadata
            assert b.imagej_metadata["Labels"] == ["a", "b", "c"]
            for page in b.pages:
                assert page.tags[282].value == page.tags[283].value == (25, 4)
                assert page.tags[296].value == 1


def test_what_ome_says_is_kept_word_for_word(tmp_path):
    said = {"axes": "ZYX", "PhysicalSizeX": 0.25, "PhysicalSizeZ": 2.0, "Name": "Zellen"}
    tifffile.imwrite(tmp_path / "a.ome.tif", random_pixels((3, 16, 17)), ome=True, metadata=said)
    save(tmp_path / "b.ome.tif", load(tmp_path / "a.ome.tif"))
    with (
        tifffile.TiffFile(tmp_path / "a.ome.tif") as a,
        tifffile.TiffFile(tmp_path / "b.ome.tif") as b,
    ):
        assert a.ome_metadata == b.ome_metadata
        assert 'PhysicalSizeZ="2.0"' in b.ome_metadata


def test_ome_planes_in_another_order_than_the_pages_are_pages(tmp_path):
    tifffile.imwrite(
        tmp_path / "a.tif", random_pixels((3, 16, 17)), ome=True, metadata={"axes": "ZYX"}
    )
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        text = re.sub(
            r"<TiffData.*?</TiffData>|<TiffData[^>]*/>",
            "".join(f'<TiffData FirstZ="{z}" IFD="{2 - z}" PlaneCount="1"/>' for z in range(3)),
            file.ome_metadata,
            flags=re.DOTALL,
        )
        pixels = np.stack([page.asarray() for page in file.pages])
    (tmp_path / "b.tif").write_bytes(tiff_bytes(pixels, description=text.encode(), **GREY))
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        np.testing.assert_array_equal(file.asarray(), pixels[::-1])  # so they are meant
    found = load(tmp_path / "b.tif")
    assert found.stack == "I"
    np.testing.assert_array_equal(found.pixels, pixels)
    save(tmp_path / "c.tif", found)
    assert series(tmp_path / "c.tif") == series(tmp_path / "b.tif")


def test_a_description_that_the_pages_contradict(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", random_pixels((3, 9, 8)), metadata={"axes": "ZYX"}, **GREY)
    data = bytearray((tmp_path / "a.tif").read_bytes())
    place = data.index(b'[3, 9, 8], "axes"')
    data[place : place + 9] = b"[7, 9, 8]"
    (tmp_path / "b.tif").write_bytes(data)
    found = load(tmp_path / "b.tif")
    assert (found.stack, found.pixels.shape) == ("I", (3, 9, 8))
    assert found.notes == ("the description tells of 7 pages, but the file holds 3",)
    save(tmp_path / "c.tif", found)
    assert_same(load(tmp_path / "c.tif"), found)


def test_tags_of_any_type_come_through(tmp_path):
    tag = (271, 5, 1, (1, 3), True)
    (tmp_path / "a.tif").write_bytes(tiff_bytes(random_pixels((9, 8)), extratags=[tag]))
    save(tmp_path / "b.tif", load(tmp_path / "a.tif"))
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        assert file.pages[0].tags[271].value == (1, 3)


@pytest.mark.parametrize("compression", [None, "lzw", "zlib", "packbits", "zstd"])
def test_every_page_is_compressed_as_it_was(tmp_path, compression):
    data = tiff_bytes(random_pixels((3, 20, 20)), compression=compression, **GREY)
    (tmp_path / "a.tif").write_bytes(data)
    save(tmp_path / "b.tif", load(tmp_path / "a.tif"))
    with tifffile.TiffFile(tmp_path / "a.tif") as a, tifffile.TiffFile(tmp_path / "b.tif") as b:
        assert [p.compression for p in b.pages] == [p.compression for p in a.pages]


@pytest.mark.parametrize(
    "options",
    [
        {"byteorder": ">"}, {"tile": (16, 16)}, {"bigtiff": True}, {"rowsperstrip": 3},
        {"planarconfig": "separate"},
    ],
    ids=str,
)  # fmt: skip
def test_layouts_of_pages(tmp_path, options):
    pixels = random_pixels((3, 20, 21, 3), "uint16")
    source = np.moveaxis(pixels, 3, 1) if "planarconfig" in options else pixels
    data = tiff_bytes(source, photometric="rgb", **options)
    (tmp_path / "a.tif").write_bytes(data)
    found = load(tmp_path / "a.tif")
    assert_same(found, Picture(pixels, False, "TIFF"))
    save(tmp_path / "b.tif", found)
    assert_same(load(tmp_path / "b.tif"), found)


def pages_bytes(planes, **options):
    """Pages written one by one, each with its own options: lists in the order of the pages."""
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        for k, plane in enumerate(planes):
            own = {key: value[k] for key, value in options.items()}
            writer.write(plane, **{"metadata": None, **own})
    return buffer.getvalue()


def test_pages_written_one_by_one(tmp_path):
    planes = random_pixels((3, 9, 8))
    (tmp_path / "a.tif").write_bytes(pages_bytes(planes, metadata=[{}] * 3))
    found = load(tmp_path / "a.tif")
    assert found.stack == "I"
    np.testing.assert_array_equal(found.pixels, planes)
    save(tmp_path / "b.tif", found)
    assert_same(load(tmp_path / "b.tif"), found)
    assert len(series(tmp_path / "b.tif")) == 1


def test_every_page_keeps_its_own_words(tmp_path):
    words = [
        [
            (270, 2, 0, f"spot {k}", False),
            (285, 2, 0, f"page {k}", False),
            (274, 3, 1, k + 1, False),
        ]
        for k in range(3)
    ]
    data = pages_bytes(
        random_pixels((3, 9, 8)),
        extratags=words,
        resolution=[(300, 150)] * 3,
        resolutionunit=[2] * 3,
    )
    (tmp_path / "a.tif").write_bytes(data)
    found = load(tmp_path / "a.tif")
    assert found.notes == ()
    assert found.metadata.dpi == (300, 150)
    assert save(tmp_path / "b.tif", found) == ()
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        for k, page in enumerate(file.pages):
            values = [page.tags[code].value for code in (270, 285, 274, 282, 283, 296)]
            assert values == [f"spot {k}", f"page {k}", k + 1, (300, 1), (150, 1), 2]


def test_exif_of_every_page_is_found_by_others(tmp_path):
    streams = [exif_of(orientation=k, make=f"M{k}") for k in (1, 6, 8)]
    layout = TiffLayout(1, 8, 2, (), pages=TiffPages("I", exif=tuple(streams[1:])))
    picture = Picture(
        random_pixels((3, 9, 8)), False, "TIFF", Metadata(exif=streams[0], tiff=layout), stack="I"
    )
    assert save(tmp_path / "a.tif", picture) == ()
    found = load(tmp_path / "a.tif")
    save(tmp_path / "b.tif", found)
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()
    with Image.open(tmp_path / "b.tif") as image:
        for k, number in enumerate((1, 6, 8)):
            image.seek(k)
            assert image.getexif()[271] == f"M{number}"
            assert image.getexif().get_ifd(0x8769)[34855] == 3200


def test_palettes_become_rgb_page_by_page(tmp_path):
    colormaps = [random_pixels((3, 256), "uint16", seed) for seed in range(3)]
    planes = random_pixels((3, 9, 8))
    (tmp_path / "a.tif").write_bytes(
        pages_bytes(planes, photometric=["palette"] * 3, colormap=colormaps)
    )
    found = load(tmp_path / "a.tif")
    expected = [m.T[plane] for m, plane in zip(colormaps, planes, strict=True)]
    np.testing.assert_array_equal(found.pixels, np.stack(expected))
    save(tmp_path / "b.tif", found)
    assert_same(load(tmp_path / "b.tif"), found)


def test_a_palette_leaves_the_axes_true(tmp_path):
    colormap = random_pixels((3, 256), "uint16")
    tifffile.imwrite(
        tmp_path / "a.tif",
        random_pixels((3, 9, 8)),
        photometric="palette",
        colormap=colormap,
        metadata={"axes": "ZYX"},
    )
    found = load(tmp_path / "a.tif")
    assert (found.stack, found.pixels.shape) == ("Z", (3, 9, 8, 3))
    save(tmp_path / "b.tif", found)
    assert_same(load(tmp_path / "b.tif"), found)
    assert series(tmp_path / "b.tif")[0][1] == "ZYXS"


def test_white_is_zero_on_every_page(tmp_path):
    pixels = random_pixels((3, 5, 6), "bool")
    (tmp_path / "a.tif").write_bytes(tiff_bytes(pixels, photometric="miniswhite"))
    np.testing.assert_array_equal(load(tmp_path / "a.tif").pixels, ~pixels)


def test_reduced_pages_are_not_part_of_the_stack(tmp_path):
    planes = random_pixels((4, 20, 20))
    kinds = [2, 1, 2, 1]
    small = [
        plane[::4, ::4] if kind == 1 else plane for plane, kind in zip(planes, kinds, strict=True)
    ]
    (tmp_path / "a.tif").write_bytes(pages_bytes(small, subfiletype=kinds))
    found = load(tmp_path / "a.tif")
    np.testing.assert_array_equal(found.pixels, planes[::2])
    assert found.notes == ("2 reduced pages of the TIFF not kept",)


def test_what_pages_have_of_their_own_is_noted(tmp_path):
    data = pages_bytes(
        random_pixels((3, 9, 8)),
        resolution=[(300, 300), (300, 300), (72, 72)],
        iccprofile=[b"one", b"two", b"two"],
    )
    (tmp_path / "a.tif").write_bytes(data)
    assert load(tmp_path / "a.tif").notes == (
        "resolution of page 3 not kept: that of page 1 is used",
        "ICC profile of page 2 not kept: that of page 1 is used",
    )


def test_over_four_gigabytes_it_is_bigtiff(tmp_path, monkeypatch):
    picture = Picture(random_pixels((3, 9, 8)), False, "TIFF", Metadata(exif=exif_of()), stack="Z")
    save(tmp_path / "a.tif", picture)
    monkeypatch.setattr("nlmeans.images.tiff_writing.CLASSIC_LIMIT", 1000)
    assert save(tmp_path / "b.tif", picture) == ("EXIF of a TIFF over 4 GB not kept",)
    assert (tmp_path / "a.tif").read_bytes()[:4] == b"II*\0"
    assert (tmp_path / "b.tif").read_bytes()[:4] == b"II+\0"
    assert_same(load(tmp_path / "b.tif"), picture)
    assert load(tmp_path / "b.tif").stack == "Z"


# --------------------------------------------------------------------------- refused


def refused(path, data, pattern):
    path.write_bytes(data)
    with pytest.raises(ImageReadError, match=pattern) as caught:
        load(path)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{path}: ")


def test_pages_that_differ_are_refused_by_number(tmp_path):
    one = random_pixels((9, 8))
    path = tmp_path / "a.tif"
    refused(
        path,
        pages_bytes([one, one, one[:7]]),
        "page 3 is 7 x 8 uint8 MINISBLACK, page 1 9 x 8 uint8 .*split it first",
    )
    refused(path, pages_bytes([one, one.astype("u2"), one]), "page 2 is 9 x 8 uint16")
    refused(
        path,
        pages_bytes([one, one], photometric=["minisblack", "miniswhite"]),
        "page 2 is 9 x 8 uint8 MINISWHITE",
    )
    refused(path, pages_bytes([one, np.stack([one] * 3, -1)]), "page 2 is 9 x 8 x 3 uint8 RGB")


def test_a_damaged_page_is_named(tmp_path):
    data = bytearray(tiff_bytes(random_pixels((3, 40, 40)), compression="zlib", **GREY))
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        offset, count = file.pages[1].dataoffsets[0], file.pages[1].databytecounts[0]
    data[offset : offset + count] = bytes(count)
    refused(tmp_path / "a.tif", bytes(data), "page 2: .*damaged")


def test_a_page_that_is_not_there_is_named(tmp_path):
    data = tiff_bytes(random_pixels((5, 40, 40)), **GREY)
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        third = file.pages[2].offset
    refused(tmp_path / "a.tif", data[:third], "page 3: .*cut short")


def test_a_page_that_is_missing_is_named(tmp_path):
    data = bytearray(pages_bytes(random_pixels((3, 40, 40))))
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        last = file.pages[2].dataoffsets[0]
    whole = bytes(data)
    refused(tmp_path / "a.tif", whole[: last + 100], "page 3: 1 of 1 strips .*cut short")
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        tag = file.pages[1].tags[273]
        data[tag.valueoffset : tag.valueoffset + 4] = bytes(4)
    refused(tmp_path / "a.tif", bytes(data), "page 2: 1 of 1 strips or tiles are not in")


@pytest.mark.parametrize("name", ["plain", "depth, channels", "imagej all", "ome time"])
def test_cut_or_changed_bytes_are_an_error_or_a_picture(tmp_path, capfd, name):
    shape, options, _, _ = WRITTEN[name]
    tifffile.imwrite(tmp_path / "a.tif", random_pixels(shape, "uint16"), **options)
    whole = (tmp_path / "a.tif").read_bytes()
    rng = np.random.default_rng(0)
    for k in range(80):
        data = bytearray(whole)
        if k % 2:
            data = data[: rng.integers(1, len(data))]
        else:
            for place in rng.integers(0, rng.choice([40, 400, len(data)]), 3):
                data[place] = rng.integers(0, 256)
        (tmp_path / "b.tif").write_bytes(data)
        found = read_or_none(tmp_path / "b.tif")
        assert found is None or found.pixels.size > 0
    assert capfd.readouterr() == ("", "")


def test_a_bomb_of_many_pages(tmp_path):
    data = bytearray(tiff_bytes(random_pixels((40, 20, 20)), compression="zlib", **PLAIN))
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        places = [page.tags[code].valueoffset for page in file.pages for code in (256, 257, 278)]
    for place in places:
        data[place : place + 4] = (5000).to_bytes(4, "little")
    refused(tmp_path / "a.tif", bytes(data), "claim to hold 1000000000 bytes")


def test_only_tiff_holds_a_stack(tmp_path):
    stack = Picture(random_pixels((3, 9, 8, 3)), False, "TIFF", stack="Z")
    for suffix in (".png", ".jpg", ".webp", ".bmp", ".ppm"):
        message = write_refusal(tmp_path / f"a{suffix}", stack)
        assert re.search(r"3 pages; \w+ holds a single picture: write TIFF", message)
    odd = Picture(stack.pixels, False, "TIFF", stack="C")
    assert "stack is 'C': use one of ''" in write_refusal(tmp_path / "a.tif", odd)
    flat = Picture(stack.pixels[0, 0], False, "TIFF", stack="Z")
    assert "(8, 3): (H, W) or (H, W, C) after" in write_refusal(tmp_path / "a.tif", flat)


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    calls = []

    def fail(*_args, **_options):
        calls.append(1)
        raise OSError(28, "No space left on device")

    stack = Picture(random_pixels((3, 9, 8)), False, "TIFF", stack="Z")
    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(images.ImageWriteError, match="No space left"):
        save(tmp_path / "a.tif", stack)
    assert calls
    assert list(tmp_path.iterdir()) == []
