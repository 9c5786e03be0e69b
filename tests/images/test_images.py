"""Files: what goes in comes out, or is refused in one line, or is named in a note."""

import io
import os
import re
import stat
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms, PngImagePlugin
from PIL.TiffImagePlugin import IFDRational
from processes import of_a_user, run_python

from nlmeans.images import (
    ImageReadError,
    ImageWriteError,
    Metadata,
    Picture,
    check_output,
    load,
    png,
    save,
)
from nlmeans.images.formats import FORMATS, PICTURES
from nlmeans.images.picture import TiffLayout

SAMPLES = {each.name: each.samples for each in PICTURES}
SHAPES = {"grey": (13, 17), "grey+alpha": (13, 17, 2), "rgb": (13, 17, 3), "rgba": (13, 17, 4)}
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/">d\xc3\xa9bruit\xc3\xa9</x:xmpmeta>'


def random_pixels(shape, dtype="uint8", seed=0):
    rng = np.random.default_rng(seed)
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        return rng.random(shape) > 0.5
    if dtype.kind == "f":
        return (rng.standard_normal(shape) * 100).astype(dtype)
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)


def picture_of(kind="rgb", dtype="uint8", metadata=None, seed=0):
    pixels = random_pixels(SHAPES[kind], dtype, seed)
    return Picture(pixels, kind in ("grey+alpha", "rgba"), "PNG", metadata or Metadata())


def exif_of(orientation=6, make="Jos\u00e9"):
    """A stream as a camera writes it: first directory, EXIF and GPS directories."""
    exif = Image.Exif()
    exif[271] = make.encode()
    exif[274] = orientation
    exif[306] = "2024:02:29 12:34:56"
    exif[0x8769] = {
        33434: IFDRational(1, 250),
        34855: 3200,
        36864: b"0231",
        36867: "2024:02:29 12:34:56",
        37386: IFDRational(50, 1),
    }
    exif[0x8825] = {1: "N", 2: (IFDRational(47), IFDRational(3), IFDRational(7, 2))}
    return exif.tobytes().removeprefix(b"Exif\0\0")


def exif_values(stream):
    exif = Image.Exif()
    exif.load(stream)
    values = {
        (group, tag): value
        for group in (0x8769, 0x8825)
        for tag, value in exif.get_ifd(group).items()
    }
    return values | {("main", tag): exif[tag] for tag in (271, 274, 306)}


def everything():
    return Metadata(exif=exif_of(), icc=ICC, dpi=(300.0, 150.0), xmp=XMP)


def encoded(array, extension, **options):
    buffer = io.BytesIO()
    image = array if isinstance(array, Image.Image) else Image.fromarray(array)
    image.save(buffer, extension, **options)
    return buffer.getvalue()


def tiff_bytes(array, **options):
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, **{"metadata": None, **options})
    return buffer.getvalue()


def tiff_of_12_bits():
    """Its header says so; older codecs write none."""
    buffer = io.BytesIO(tiff_bytes(np.ones((5, 6), np.uint16)))
    with tifffile.TiffFile(buffer, mode="r+") as file:
        file.pages.first.tags["BitsPerSample"].overwrite(12)
    return buffer.getvalue()


def png_bytes(depth, colour, rows, size, *before):
    """A PNG by hand, for what no library writes."""

    def chunk(name, body):
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, 0))
    extra = b"".join(chunk(name, body) for name, body in before)
    data = chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + head + extra + data + chunk(b"IEND", b"")


def read_refusal(path):
    """The message of a refusal: one line that starts with the path; the file is untouched."""
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(ImageReadError) as caught:
        load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert before is None or path.read_bytes() == before
    return message.removeprefix(f"{path}: ")


def read_or_none(path):
    """What is read from a damaged file; any error but the one-line refusal shows."""
    try:
        return load(path)
    except ImageReadError as error:
        if "\n" in str(error):
            raise
    return None


def write_refusal(path, picture, **options):
    """The same from the check before the work and from the writing, which leaves nothing."""
    before = sorted(path.parent.iterdir()) if path.parent.is_dir() else None
    with pytest.raises(ImageWriteError) as early:
        check_output(path, picture, **options)
    with pytest.raises(ImageWriteError) as late:
        save(path, picture, **options)
    message = str(early.value)
    assert message == str(late.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert before is None or sorted(path.parent.iterdir()) == before
    return message.removeprefix(f"{path}: ")


def assert_same(found, picture):
    assert found.pixels.dtype == picture.pixels.dtype
    assert found.pixels.dtype.isnative
    assert found.pixels.shape == picture.pixels.shape
    assert found.pixels.tobytes() == picture.pixels.tobytes()
    assert found.alpha == picture.alpha


# --------------------------------------------------------------------------- pixels

COLOUR_ONLY, NO_ALPHA = ("rgb", "rgba"), ("grey", "rgb")
HELD = {
    ".png": (SAMPLES["PNG"], tuple(SHAPES)),
    ".tif": (SAMPLES["TIFF"], tuple(SHAPES)),
    ".webp": (SAMPLES["WebP"], COLOUR_ONLY),
    ".bmp": (SAMPLES["BMP"], NO_ALPHA),
    ".pnm": (SAMPLES["PNM"], NO_ALPHA),
    ".pam": (SAMPLES["PNM"], tuple(SHAPES)),
}


@pytest.mark.parametrize(
    ("suffix", "dtype", "kind"),
    [
        (suffix, dtype, kind)
        for suffix, (dtypes, kinds) in HELD.items()
        for dtype in dtypes
        for kind in kinds
        if dtype != "bool" or kind == "grey"
    ],
)
def test_round_trip_is_bit_exact(tmp_path, suffix, dtype, kind):
    picture = picture_of(kind, dtype)
    path = tmp_path / f"a{suffix}"
    assert save(path, picture) == ()
    found = load(path)
    assert_same(found, picture)
    assert found.format == FORMATS[suffix]
    assert found.notes == ()


@pytest.mark.parametrize(
    "layout", ["fortran", "reversed", "big-endian", "read-only", "one channel"]
)
@pytest.mark.parametrize("suffix", [".png", ".tif", ".ppm"])
def test_any_memory_layout_is_written_right(tmp_path, layout, suffix):
    pixels = random_pixels((6, 7, 3), "uint16")
    if layout == "one channel":
        pixels, suffix = pixels[:, :, :1], suffix.replace("ppm", "pgm")
    changed = {
        "fortran": np.asfortranarray(pixels),
        "reversed": pixels[::-1, ::-1][::-1, ::-1],
        "big-endian": pixels.astype(">u2"),
        "read-only": pixels.copy(),
        "one channel": pixels,
    }[layout]
    changed.setflags(write=False)
    save(tmp_path / f"a{suffix}", Picture(changed, False, "PNG"))
    found = load(tmp_path / f"a{suffix}").pixels
    np.testing.assert_array_equal(found, pixels.squeeze())


def test_jpeg_and_lossy_webp_obey_quality(tmp_path):
    picture = picture_of("rgb")
    for suffix in (".jpg", ".webp"):
        errors = []
        for quality in (5, 50, 95):
            save(tmp_path / f"a{suffix}", picture, quality=quality, overwrite=True)
            found = load(tmp_path / f"a{suffix}").pixels
            errors.append(np.abs(found.astype(float) - picture.pixels).mean())
        assert errors[0] > errors[1] > errors[2] > 0


def test_jpeg_default_is_quality_95_with_full_colour(tmp_path):
    picture = picture_of("rgb")
    save(tmp_path / "a.jpg", picture)
    save(tmp_path / "b.jpg", picture, quality=95)
    assert (tmp_path / "a.jpg").read_bytes() == (tmp_path / "b.jpg").read_bytes()
    with Image.open(tmp_path / "a.jpg") as image:
        assert [layer[1:3] for layer in image.layer] == [(1, 1)] * 3


@pytest.mark.parametrize("kind", ["grey", "rgb"])
def test_jpeg_holds_grey_and_colour(tmp_path, kind):
    picture = picture_of(kind)
    save(tmp_path / "a.jpg", picture)
    assert load(tmp_path / "a.jpg").pixels.shape == picture.pixels.shape


def test_opaque_alpha_in_webp_is_noted(tmp_path):
    picture = picture_of("rgba")
    picture.pixels[:, :, 3] = 255
    (note,) = save(tmp_path / "a.webp", picture)
    assert "opaque" in note
    found = load(tmp_path / "a.webp")
    np.testing.assert_array_equal(found.pixels, picture.pixels[:, :, :3])


# --------------------------------------------------------------------------- reading


def test_palettes_become_rgb(tmp_path):
    pixels = random_pixels((9, 8, 3))
    image = Image.fromarray(pixels).convert("P", palette=Image.Palette.ADAPTIVE, colors=200)
    for name, suffix in (("PNG", ".png"), ("BMP", ".bmp"), ("TIFF", ".tif")):
        path = tmp_path / f"a{suffix}"
        path.write_bytes(encoded(image, name))
        found = load(path)
        assert found.pixels.dtype == np.uint8
        np.testing.assert_array_equal(found.pixels, np.asarray(image.convert("RGB")))
        assert not found.alpha
        assert found.notes == ("palette not kept: its colours become RGB",)
        path.write_bytes(encoded(image.convert("RGB"), name))
        assert load(path).notes == ()


def test_sixteen_bit_tiff_palette(tmp_path):
    colormap = random_pixels((3, 256), "uint16")
    index = random_pixels((5, 6))
    (tmp_path / "a.tif").write_bytes(tiff_bytes(index, photometric="palette", colormap=colormap))
    np.testing.assert_array_equal(load(tmp_path / "a.tif").pixels, colormap.T[index])


@pytest.mark.parametrize(
    ("data", "first_row"),
    [
        # palette with an alpha of its own
        (
            png_bytes(
                8,
                3,
                b"\0\0\1" * 2,
                (2, 2),
                (b"PLTE", bytes((9, 8, 7, 1, 2, 3))),
                (b"tRNS", b"\x80"),
            ),
            [[9, 8, 7, 128], [1, 2, 3, 255]],
        ),
        # colour keys: 8-bit RGB, 4-bit grey (which Pillow gets wrong), 16-bit RGB and grey
        (
            png_bytes(8, 2, b"\0" + bytes(range(6)), (2, 1), (b"tRNS", b"\0\3\0\4\0\5")),
            [[0, 1, 2, 255], [3, 4, 5, 0]],
        ),
        (png_bytes(4, 0, b"\0\x12", (2, 1), (b"tRNS", b"\0\2")), [[17, 255], [34, 0]]),
        (
            png_bytes(
                16,
                2,
                b"\0" + struct.pack(">6H", *range(900, 906)),
                (2, 1),
                (b"tRNS", struct.pack(">3H", 903, 904, 905)),
            ),
            [[900, 901, 902, 65535], [903, 904, 905, 0]],
        ),
        (
            png_bytes(
                16, 0, b"\0" + struct.pack(">2H", 5, 700), (2, 1), (b"tRNS", struct.pack(">H", 5))
            ),
            [[5, 0], [700, 65535]],
        ),
    ],
    ids=["palette", "key rgb8", "key grey4", "key rgb16", "key grey16"],
)
def test_png_transparency_becomes_alpha(tmp_path, data, first_row):
    (tmp_path / "a.png").write_bytes(data)
    found = load(tmp_path / "a.png")
    assert found.alpha
    assert found.pixels[0].tolist() == first_row
    assert ("palette not kept: its colours become RGBA" in " ".join(found.notes)) == (data[25] == 3)


def test_interlaced_sixteen_bit_png(tmp_path):
    pixels = random_pixels((9, 11, 3), "uint16")
    rows = b""
    for y0, x0, dy, dx in (
        (0, 0, 8, 8),
        (0, 4, 8, 8),
        (4, 0, 8, 4),
        (0, 2, 4, 4),
        (2, 0, 4, 2),
        (0, 1, 2, 2),
        (1, 0, 2, 1),
    ):
        for row in pixels[y0::dy, x0::dx]:
            rows += b"\0" + row.astype(">u2").tobytes()
    data = bytearray(png_bytes(16, 2, rows, (11, 9)))
    data[28] = 1
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    (tmp_path / "a.png").write_bytes(data)
    np.testing.assert_array_equal(load(tmp_path / "a.png").pixels, pixels)


def test_animated_png_of_one_frame_is_a_picture(tmp_path):
    frame = struct.pack(">IIIIIHHBB", 0, 2, 1, 0, 0, 1, 1, 0, 0)
    before = (b"acTL", struct.pack(">II", 1, 0)), (b"fcTL", frame)
    (tmp_path / "a.png").write_bytes(png_bytes(8, 0, b"\0\5\6", (2, 1), *before))
    assert load(tmp_path / "a.png").pixels.tolist() == [[5, 6]]


def test_one_bit_polarity_is_the_same_everywhere(tmp_path):
    (tmp_path / "a.pbm").write_bytes(b"P1\n3 1\n1 0 0\n")  # 1 is black
    (tmp_path / "a.png").write_bytes(png_bytes(1, 0, b"\0\x60", (3, 1)))
    (tmp_path / "a.tif").write_bytes(
        tiff_bytes(np.array([[True, False, False]]), photometric="miniswhite")
    )
    for suffix in (".pbm", ".png", ".tif"):
        assert load(tmp_path / f"a{suffix}").pixels.tolist() == [[False, True, True]]


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "bool"])
def test_white_is_zero_tiff(tmp_path, dtype):
    pixels = random_pixels((5, 6), dtype)
    (tmp_path / "a.tif").write_bytes(tiff_bytes(pixels, photometric="miniswhite"))
    found = load(tmp_path / "a.tif")
    np.testing.assert_array_equal(found.pixels, ~pixels)
    save(tmp_path / "b.tif", found)
    assert_same(load(tmp_path / "b.tif"), found)


@pytest.mark.parametrize(
    "options",
    [
        {"byteorder": ">"},
        {"planarconfig": "separate"},
        {"tile": (16, 16)},
        {"bigtiff": True},
        {"rowsperstrip": 3},
    ],
    ids=str,
)
@pytest.mark.parametrize("compression", [None, "lzw", "zlib", "packbits", "zstd", "lzma"])
def test_tiff_layouts(tmp_path, options, compression):
    pixels = random_pixels((20, 21, 3), "uint16")
    source = pixels
    if "planarconfig" in options:
        source = np.moveaxis(pixels, 2, 0)
    data = tiff_bytes(source, photometric="rgb", compression=compression, **options)
    (tmp_path / "a.tif").write_bytes(data)
    found = load(tmp_path / "a.tif")
    assert found.pixels.flags.c_contiguous
    assert_same(found, Picture(pixels, False, "TIFF"))
    save(tmp_path / "b.tif", found)
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        assert file.pages[0].compression in (found.metadata.tiff.compression, 8)
    assert_same(load(tmp_path / "b.tif"), found)


@pytest.mark.parametrize("channels", [2, 4, 5, 7])
def test_tiff_with_any_channels(tmp_path, channels):
    pixels = random_pixels((6, 7, channels), "float32")
    extra = ("unspecified",) * (channels - 1)
    data = tiff_bytes(pixels, photometric="minisblack", planarconfig="contig", extrasamples=extra)
    (tmp_path / "a.tif").write_bytes(data)
    found = load(tmp_path / "a.tif")
    assert_same(found, Picture(pixels, False, "TIFF"))
    save(tmp_path / "b.tif", found)
    again = load(tmp_path / "b.tif")
    assert_same(again, found)
    assert again.metadata.tiff.extrasamples == (0,) * (channels - 1)
    assert again.metadata.tiff.photometric == found.metadata.tiff.photometric


def test_premultiplied_alpha_stays_in_tiff(tmp_path):
    pixels = random_pixels((6, 7, 4))
    data = tiff_bytes(pixels, photometric="rgb", extrasamples=("assocalpha",))
    (tmp_path / "a.tif").write_bytes(data)
    found = load(tmp_path / "a.tif")
    assert found.alpha
    assert found.premultiplied
    save(tmp_path / "b.tif", found)
    assert load(tmp_path / "b.tif").premultiplied
    assert "write TIFF" in write_refusal(tmp_path / "b.png", found)


def test_jpeg_compressed_tiff_is_read_as_rgb_and_written_losslessly(tmp_path):
    pixels = np.full((32, 48, 3), (200, 50, 10), np.uint8)
    (tmp_path / "a.tif").write_bytes(tiff_bytes(pixels, photometric="rgb", compression="jpeg"))
    found = load(tmp_path / "a.tif")
    assert np.abs(found.pixels.astype(int) - pixels).max() <= 3
    save(tmp_path / "b.tif", found)
    assert_same(load(tmp_path / "b.tif"), found)


def test_reduced_page_of_a_tiff_is_noted(tmp_path):
    pixels = random_pixels((20, 20))
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(pixels, metadata=None)
        writer.write(pixels[::4, ::4], metadata=None, subfiletype=1)
    found = load(tmp_path / "a.tif")
    np.testing.assert_array_equal(found.pixels, pixels)
    assert found.notes == ("1 reduced pages of the TIFF not kept",)


def test_extension_may_be_missing_or_in_capitals(tmp_path):
    data = encoded(random_pixels((4, 5, 3)), "PNG")
    for name in ("picture", "PICTURE.PNG"):
        (tmp_path / name).write_bytes(data)
        assert load(tmp_path / name).format == "PNG"


@pytest.mark.parametrize(
    "name", ["imageio:camera.png", "http:x.png", "<video0>.png", "-.png", "a b\u00e9\n.png"]
)
def test_names_are_file_names(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    picture = picture_of()
    with pytest.raises(ImageReadError, match="no such file"):
        load(name)
    save(name, picture)
    assert_same(load(name), picture)
    assert os.listdir(tmp_path) == [name]  # noqa: PTH208


def test_an_address_is_not_fetched():
    with pytest.raises(ImageReadError, match="no such file"):
        load("http://localhost/x.png")
    with pytest.raises(ImageWriteError, match="does not exist"):
        save("http://localhost/x.png", picture_of())


# --------------------------------------------------------------------------- metadata

KEPT = {".png": {"exif", "icc", "dpi", "xmp"}, ".jpg": {"exif", "icc", "dpi", "xmp"}}
KEPT |= {".tif": {"exif", "icc", "dpi", "xmp"}, ".webp": {"exif", "icc", "xmp"}}
KEPT |= {".bmp": {"dpi"}, ".ppm": set()}
NAMES = {"exif": "EXIF", "icc": "ICC", "dpi": "resolution", "xmp": "XMP"}


def assert_metadata(found, kept):
    assert (found.icc == ICC) == ("icc" in kept)
    assert (found.xmp == XMP) == ("xmp" in kept)
    assert (found.exif is not None) == ("exif" in kept)
    if "exif" in kept:
        assert exif_values(found.exif) == exif_values(exif_of())
    assert (found.dpi is not None) == ("dpi" in kept)
    if "dpi" in kept:
        assert found.dpi == pytest.approx((300, 150), abs=0.02)


@pytest.mark.parametrize("second", KEPT)
@pytest.mark.parametrize("first", KEPT)
def test_metadata_crosses_formats_and_every_loss_is_named(tmp_path, first, second):
    notes = save(tmp_path / f"a{first}", picture_of(metadata=everything()))
    assert {key for key in NAMES if NAMES[key] in " ".join(notes)} == set(NAMES) - KEPT[first]
    found = load(tmp_path / f"a{first}")
    assert found.notes == ()
    assert_metadata(found.metadata, KEPT[first])
    notes = save(tmp_path / f"b{second}", found)
    lost = KEPT[first] - KEPT[second]
    assert {key for key in NAMES if NAMES[key] in " ".join(notes)} == lost
    assert_metadata(load(tmp_path / f"b{second}").metadata, KEPT[first] & KEPT[second])


@pytest.mark.parametrize("dtype", ["bool", "uint8", "uint16"])
def test_png_metadata_at_every_depth(tmp_path, dtype):
    save(tmp_path / "a.png", picture_of("grey", dtype, everything()))
    assert_metadata(load(tmp_path / "a.png").metadata, KEPT[".png"])
    with Image.open(tmp_path / "a.png") as image:  # another reader agrees
        image.load()
        assert image.info["icc_profile"] == ICC
        assert image.info["xmp"] == XMP


def test_other_readers_find_the_exif_of_our_tiff(tmp_path):
    save(tmp_path / "a.tif", picture_of(metadata=everything()))
    with Image.open(tmp_path / "a.tif") as image:
        exif = image.getexif()
        assert exif[271] == "Jos?"[:3] + "\u00e9".encode().decode("latin-1")
        assert exif.get_ifd(0x8769)[34855] == 3200
        assert exif.get_ifd(0x8825)[2] == (47, 3, 3.5)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        tags = file.pages[0].tags
        codes = [tag.code for tag in tags]
        assert codes == sorted(set(codes))
        assert tags[34665].value["ISOSpeedRatings"] == 3200


def test_tiff_metadata_is_stable(tmp_path):
    save(tmp_path / "a.tif", picture_of(metadata=everything()))
    save(tmp_path / "b.tif", load(tmp_path / "a.tif"))
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp"])
def test_orientation_is_kept_and_never_applied(tmp_path, suffix, orientation):
    exif = exif_of(orientation)
    pixels = np.zeros((16, 32, 3), np.uint8)
    pixels[:8, :16] = 255
    save(tmp_path / f"a{suffix}", Picture(pixels, False, "PNG", Metadata(exif=exif)))
    found = load(tmp_path / f"a{suffix}")
    assert found.pixels.shape == pixels.shape
    assert np.abs(found.pixels.astype(int) - pixels).max() < 40
    save(tmp_path / f"b{suffix}", found)
    again = load(tmp_path / f"b{suffix}").metadata.exif
    assert exif_values(again)["main", 274] == orientation
    with Image.open(tmp_path / f"b{suffix}") as image:
        assert image.getexif()[274] == orientation


def test_resolution_per_centimetre(tmp_path):
    data = tiff_bytes(random_pixels((4, 5)), resolution=(100, 200), resolutionunit=3)
    (tmp_path / "a.tif").write_bytes(data)
    assert load(tmp_path / "a.tif").metadata.dpi == pytest.approx((254, 508))


def test_png_texts_and_colour_chunks_stay_in_png(tmp_path):
    info = PngImagePlugin.PngInfo()
    info.add_text("Title", "noisy")
    info.add_itxt("Comment", "d\u00e9bruit\u00e9", zip=True)
    info.add(b"gAMA", struct.pack(">I", 100000))
    Image.fromarray(random_pixels((4, 5))).save(tmp_path / "a.png", pnginfo=info)
    found = load(tmp_path / "a.png")
    assert found.notes == ()
    assert save(tmp_path / "b.png", found) == ()
    with Image.open(tmp_path / "b.png") as image:
        image.load()
        assert image.info["Title"] == "noisy"
        assert image.info["Comment"] == "d\u00e9bruit\u00e9"
        assert image.info["gamma"] == 1.0
    (note,) = save(tmp_path / "b.jpg", found)
    assert "gAMA, iTXt, tEXt" in note


def test_metadata_behind_the_pixels_of_a_png_is_found(tmp_path):
    data = png_bytes(8, 0, b"\0\1", (1, 1))
    save(tmp_path / "a.png", picture_of("grey", metadata=everything()))
    other = (tmp_path / "a.png").read_bytes()
    start, end = other.index(b"eXIf") - 4, other.index(b"IDAT") - 4
    (tmp_path / "a.png").write_bytes(data[:-12] + other[start:end] + data[-12:])
    assert load(tmp_path / "a.png").metadata.exif == exif_of()


def test_what_reading_leaves_behind_is_noted(tmp_path):
    (tmp_path / "a.jpg").write_bytes(encoded(random_pixels((8, 8, 3)), "JPEG", comment=b"hello"))
    assert load(tmp_path / "a.jpg").notes == ("JPEG segments not kept: COM",)
    (tmp_path / "a.png").write_bytes(png_bytes(8, 0, b"\0\1", (1, 1), (b"bKGD", b"\0\0")))
    assert load(tmp_path / "a.png").notes == ("PNG chunks not kept: bKGD",)
    (tmp_path / "a.tif").write_bytes(
        tiff_bytes(random_pixels((4, 5)), extratags=[(33550, 12, 3, (1.0, 1.0, 0.0), True)])
    )
    assert load(tmp_path / "a.tif").notes == ("TIFF tags not kept: 33550",)
    (tmp_path / "b.tif").write_bytes(tiff_bytes(random_pixels((4, 5)), imagej=True, metadata={}))
    assert load(tmp_path / "b.tif").notes == ("TIFF tags not kept: 270",)


def test_phone_photograph_with_a_second_picture(tmp_path):
    first, second = random_pixels((16, 16, 3)), random_pixels((8, 8, 3), seed=1)
    (tmp_path / "a.jpg").write_bytes(
        encoded(first, "MPO", save_all=True, append_images=[Image.fromarray(second)])
    )
    found = load(tmp_path / "a.jpg")
    assert found.pixels.shape == first.shape
    assert "1 further pictures inside the JPEG not kept" in found.notes


@pytest.mark.parametrize(
    "exif", [b"II", b"junk" * 9, b"II*\0\xff\xff\0\0", exif_of()[:60], exif_of()[:-9]]
)
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_damaged_exif_does_not_stop_the_picture(tmp_path, suffix, exif):
    picture = picture_of(metadata=Metadata(exif=exif))
    notes = save(tmp_path / f"a{suffix}", picture)
    assert load(tmp_path / f"a{suffix}").pixels.shape == picture.pixels.shape
    if suffix == ".tif":
        assert any("EXIF is damaged" in note for note in notes)


def test_metadata_too_large_for_jpeg_is_noted(tmp_path):
    metadata = Metadata(exif=exif_of() + bytes(70000), xmp=b"x" * 70000)
    exif, xmp = save(tmp_path / "a.jpg", picture_of(metadata=metadata))
    assert exif.startswith("EXIF of ")
    assert xmp.startswith("XMP of 70000 bytes not kept")
    assert load(tmp_path / "a.jpg").metadata.xmp is None


# --------------------------------------------------------------------------- inputs refused


def raw_pnm(header, count):
    return header + bytes(count)


ANIMATION = {
    "save_all": True,
    "append_images": [Image.fromarray(random_pixels((5, 6, 3), seed=s)) for s in (1, 2)],
}
RGB = random_pixels((5, 6, 3))
BAD_CONTENT = {
    "gif.gif": (encoded(RGB, "GIF"), "256 colours.*PNG first"),
    "apng.png": (encoded(RGB, "PNG", **ANIMATION), "3 frames.*split it first"),
    "moving.webp": (encoded(RGB, "WEBP", **ANIMATION), "3 frames.*split it first"),
    "volume.tif": (
        tiff_bytes(random_pixels((16, 16, 16)), volumetric=True, photometric="minisblack"),
        "volume with axes ZYX",
    ),
    "cmyk.jpg": (encoded(Image.new("CMYK", (6, 5)), "JPEG"), "CMYK.*RGB first"),
    "cmyk.tif": (encoded(Image.new("CMYK", (6, 5)), "TIFF"), "SEPARATED.*RGB first"),
    "lab.tif": (encoded(Image.new("LAB", (6, 5)), "TIFF"), "CIELAB.*RGB first"),
    "ycbcr.tif": (encoded(Image.new("YCbCr", (6, 5)), "TIFF"), "YCBCR.*RGB first"),
    "int32.tif": (tiff_bytes(random_pixels((5, 6), "int32")), "samples are int32; bool, uint8"),
    "uint32.tif": (tiff_bytes(random_pixels((5, 6), "uint32")), "uint32.*convert"),
    "int8.tif": (tiff_bytes(random_pixels((5, 6), "int8")), "int8.*convert"),
    "complex.tif": (tiff_bytes(np.ones((5, 6), np.complex64)), "complex64.*convert"),
    "bits12.tif": (tiff_of_12_bits(), "12 bits.*convert"),
    "white.tif": (tiff_bytes(np.ones((5, 6), "f4"), photometric="miniswhite"), "MINISWHITE"),
    "bool3.tif": (tiff_bytes(np.ones((5, 6, 3), bool), photometric="rgb"), "3 channels of bool"),
    "alpha.tif": (
        tiff_bytes(np.ones((5, 6, 5), "u1"), photometric="rgb", extrasamples=(2, 0)),
        "alpha is not the last",
    ),
    "raw.tif": (
        tiff_bytes(RGB, photometric="rgb", extratags=[(50706, 1, 4, b"\1\4\0\0", True)]),
        "camera raw",
    ),
    "scale.pgm": (raw_pnm(b"P5 6 5 1023\n", 60), "largest value 1023.*65535"),
    "two.pgm": (raw_pnm(b"P5 6 5 255\n", 60), "2 pictures.*split it first"),
    "pfm.ppm": (raw_pnm(b"PF\n6 5\n-1.0\n", 360), "PFM.*TIFF first"),
    "five.pam": (
        raw_pnm(b"P7\nWIDTH 6\nHEIGHT 5\nDEPTH 5\nMAXVAL 255\nENDHDR\n", 150),
        "5 channels",
    ),
    "none.pgm": (b"P5 0 5 255\n", "PNM"),
    "none.png": (png_bytes(8, 0, b"", (0, 5)), "PNG"),
    "empty.png": (b"", "is empty"),
    "text.png": (b"hello world\n" * 9, "unknown kind; PNG, JPEG, TIFF, WebP, BMP, PNM are read"),
    "page.png": (b"<!DOCTYPE html><title>404</title>", "is HTML page"),
    "doc.png": (b"%PDF-1.7\n", "is PDF; .*convert"),
    "archive.png": (b"PK\3\4" + bytes(40), "is ZIP archive"),
    "photo.jpg": (b"\0\0\0\x1cftypheic" + bytes(40), "is HEIC"),
    "scan.tif": (bytes(128) + b"DICM" + bytes(40), "is DICOM"),
    "photo.jpeg": (encoded(RGB, "PNG"), "named .jpeg but holds PNG: rename it to .png"),
    "photo.nef": (encoded(RGB, "TIFF"), "named .nef but holds TIFF: rename it to .tif"),
}


@pytest.mark.parametrize("name", BAD_CONTENT)
def test_input_refused_in_one_line(tmp_path, name):
    data, pattern = BAD_CONTENT[name]
    (tmp_path / name).write_bytes(data)
    message = read_refusal(tmp_path / name)
    assert re.search(pattern, message), message


def test_places_that_are_no_files(tmp_path, monkeypatch):
    assert "folder" in read_refusal(tmp_path)
    assert "no such file" in read_refusal(tmp_path / "a.png")
    os.mkfifo(tmp_path / "fifo.png")
    assert "pipe or device" in read_refusal(tmp_path / "fifo.png")
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    assert "cannot be opened" in read_refusal(tmp_path / "loop.png")
    with pytest.raises(ImageReadError, match="pipe or device"):
        load("/dev/null")
    with pytest.raises(ImageReadError, match="cannot be opened"):
        load("a\0.png")

    def denied(*_args, **_options):
        raise PermissionError(13, "Permission denied")

    (tmp_path / "b.png").write_bytes(b"x")
    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(ImageReadError, match="Permission denied"):
        load(tmp_path / "b.png")


def test_path_with_a_newline_stays_on_one_line(tmp_path):
    with pytest.raises(ImageReadError) as caught:
        load(tmp_path / "a\nb.png")
    assert "\n" not in str(caught.value)


def test_decompression_bomb(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(png_bytes(8, 0, b"\0", (20000, 20000)))
    message = read_refusal(tmp_path / "a.png")
    assert "400000000 pixels" in message
    assert "178956970" in message
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)  # a warning to Pillow, nothing to us
    (tmp_path / "b.png").write_bytes(encoded(RGB, "PNG"))
    assert load(tmp_path / "b.png").pixels.shape == RGB.shape


def test_tiff_bomb(tmp_path):
    data = bytearray(tiff_bytes(RGB[:, :, 0], compression="zlib"))
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        for code in (256, 257, 278):
            struct.pack_into("<I", data, file.pages[0].tags[code].valueoffset, 60000)
    (tmp_path / "a.tif").write_bytes(data)
    assert "3600000000" in read_refusal(tmp_path / "a.tif")


def test_strips_missing_from_a_tiff_are_not_zeros(tmp_path):
    data = bytearray(tiff_bytes(random_pixels((32, 20)), compression="zlib", rowsperstrip=8))
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        counts = file.pages[0].tags[279]
    size = {3: 2, 4: 4}[counts.dtype]
    data[counts.valueoffset + size : counts.valueoffset + 2 * size] = bytes(size)
    (tmp_path / "a.tif").write_bytes(data)
    assert "1 of 4 strips or tiles are not in the file" in read_refusal(tmp_path / "a.tif")


def test_memory_error_passes(tmp_path, monkeypatch):
    def exhausted(_data):
        raise MemoryError

    (tmp_path / "a.png").write_bytes(encoded(RGB, "PNG"))
    monkeypatch.setattr("nlmeans.images.png.read", exhausted)
    with pytest.raises(MemoryError):
        load(tmp_path / "a.png")


ENCODINGS = {
    "png8": (".png", picture_of("rgb")),
    "png16": (".png", picture_of("rgb", "uint16")),
    "png1": (".png", picture_of("grey", "bool")),
    "jpeg": (".jpg", picture_of("rgb")),
    "tiff": (".tif", picture_of("rgb", "uint16")),
    "tiff-plain": (".tif", picture_of("rgb", "float32")),
    "webp": (".webp", picture_of("rgba")),
    "bmp": (".bmp", picture_of("rgb")),
    "pbm": (".pbm", picture_of("grey", "bool")),
    "ppm16": (".ppm", picture_of("rgb", "uint16")),
}


@pytest.mark.parametrize("metadata", [False, True], ids=["bare", "with metadata"])
@pytest.mark.parametrize("name", ENCODINGS)
def test_cut_short_is_an_error_or_complete(tmp_path, capfd, name, metadata):
    suffix, picture = ENCODINGS[name]
    path = tmp_path / f"a{suffix}"
    layout = TiffLayout(2, 1, 1, ()) if name == "tiff-plain" else None
    metadata = everything() if metadata else Metadata()
    picture = Picture(
        picture.pixels, picture.alpha, "PNG", Metadata(**{**vars(metadata), "tiff": layout})
    )
    save(path, picture)
    whole, pixels = path.read_bytes(), load(path).pixels
    size = len(whole)
    cuts = {*range(1, 60, 7), *range(60, size, max(1, size // 25)), *range(size - 20, size)}
    complete = 0
    for cut in sorted(cuts):
        path.write_bytes(whole[:cut])
        found = read_or_none(path)
        if found is not None:
            np.testing.assert_array_equal(found.pixels, pixels)
            complete += 1
    assert complete <= 20
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ENCODINGS)
def test_flipped_bytes_are_an_error_or_a_picture(tmp_path, capfd, name):
    suffix, picture = ENCODINGS[name]
    path = tmp_path / f"a{suffix}"
    save(path, Picture(picture.pixels, picture.alpha, "PNG", everything()))
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(40):
        data = bytearray(whole)
        for place in rng.integers(0, min(len(data), rng.choice([40, 400, 4000])), 3):
            data[place] = rng.integers(0, 256)
        path.write_bytes(data)
        found = read_or_none(path)
        assert found is None or found.pixels.size > 0
    assert capfd.readouterr() == ("", "")


# --------------------------------------------------------------------------- outputs refused


@pytest.mark.parametrize(
    ("name", "kind", "dtype", "pattern"),
    [
        ("a.jpg", "rgb", "uint16", "uint16 pixels; JPEG holds uint8: write PNG or TIFF or PNM"),
        ("a.webp", "rgb", "uint16", "uint16 pixels; WebP"),
        ("a.bmp", "grey", "uint16", "uint16 pixels; BMP"),
        ("a.png", "grey", "float32", "float32 pixels; PNG.*write TIFF"),
        ("a.jpg", "grey", "bool", "bool pixels; JPEG"),
        ("a.tif", "grey", "int32", "int32 pixels; TIFF holds .*: use bool, uint8"),
        ("a.jpg", "rgba", "uint8", "JPEG holds no alpha: write PNG, TIFF, WebP, or remove"),
        ("a.bmp", "rgba", "uint8", "BMP holds no alpha"),
        ("a.ppm", "rgba", "uint8", "PNM holds no alpha"),
        ("a.webp", "grey", "uint8", "grey pixels; WebP holds RGB"),
        ("a.ppm", "grey", "uint8", "grey pixels; .ppm holds RGB: use .pnm"),
        ("a.pgm", "rgb", "uint8", "RGB pixels; .pgm holds grey"),
        ("a.pbm", "grey", "uint8", "grey pixels; .pbm holds 1-bit"),
        ("a.tif", "rgb", "bool", "1-bit pixels with 3 channels"),
        ("a.gif", "rgb", "uint8", "unknown extension '.gif': use one of .png, .jpg"),
        ("a", "rgb", "uint8", "unknown extension ''"),
        ("no/a.png", "rgb", "uint8", "the folder .*/no does not exist: create it first"),
    ],
)
def test_output_refused_before_and_after_the_work(tmp_path, name, kind, dtype, pattern):
    message = write_refusal(tmp_path / name, picture_of(kind, dtype))
    assert re.search(pattern, message), message


def test_odd_shapes_are_refused(tmp_path):
    for shape in ((0, 5), (5, 0, 3), (5,), (2, 3, 4, 5)):
        message = write_refusal(tmp_path / "a.png", Picture(np.zeros(shape, "u1"), False, "PNG"))
        assert str(shape) in message
    five = Picture(np.zeros((5, 6, 5), np.uint8), False, "TIFF")
    assert "5 colour channels; PNG holds 1" in write_refusal(tmp_path / "a.png", five)
    wide = Picture(np.zeros((1, 16384, 3), np.uint8), False, "PNG")
    assert "16384 x 1 pixels; WebP holds 16383" in write_refusal(tmp_path / "a.webp", wide)
    assert "0.016384" in str(wide.megapixels)


def test_quality_is_checked(tmp_path):
    picture = picture_of()
    assert "no meaning for PNG" in write_refusal(tmp_path / "a.png", picture, quality=90)
    for quality in (0, 101, -5):
        assert "use 1 to 100" in write_refusal(tmp_path / "a.jpg", picture, quality=quality)


def test_existing_output(tmp_path):
    picture = picture_of()
    path = tmp_path / "a.png"
    path.write_bytes(b"old")
    assert "exists already" in write_refusal(path, picture)
    assert path.read_bytes() == b"old"
    (tmp_path / "dangling.png").symlink_to(tmp_path / "nowhere.png")
    assert "exists already" in write_refusal(tmp_path / "dangling.png", picture)
    (tmp_path / "folder.png").mkdir()
    assert "folder" in write_refusal(tmp_path / "folder.png", picture, overwrite=True)
    save(path, picture, overwrite=True)
    assert_same(load(path), picture)


def test_the_input_is_recognised_under_any_name(tmp_path):
    source = tmp_path / "a.png"
    save(source, picture_of())
    (tmp_path / "link.png").symlink_to(source)
    os.link(source, tmp_path / "hard.png")
    (tmp_path / "sub").mkdir()
    for name in ("a.png", "link.png", "hard.png", "sub/../a.png"):
        with pytest.raises(ImageWriteError, match="is the input itself"):
            check_output(tmp_path / name, picture_of(), overwrite=True, source=source)
    check_output(tmp_path / "b.png", picture_of(), source=source)


def test_folder_without_permission(tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    out = run_python(
        """
        import sys, numpy as np
        from nlmeans.images import ImageWriteError, Picture, save
        try:
            save(sys.argv[1], Picture(np.zeros((4, 5), np.uint8), alpha=False, format="PNG"))
        except ImageWriteError as error:
            print(error)
        """,
        before=of_a_user(),
        arguments=(tmp_path / "locked" / "a.png",),
    )
    assert "not writable" in out
    assert out.count("\n") == 1


# --------------------------------------------------------------------------- writing safely


def test_permissions_follow_umask_or_the_old_file(tmp_path):
    before = os.umask(0o027)
    try:
        save(tmp_path / "a.png", picture_of())
        assert stat.S_IMODE((tmp_path / "a.png").stat().st_mode) == 0o640
        (tmp_path / "a.png").chmod(0o604)
        save(tmp_path / "a.png", picture_of(seed=1), overwrite=True)
        assert stat.S_IMODE((tmp_path / "a.png").stat().st_mode) == 0o604
    finally:
        os.umask(before)


def test_overwriting_through_a_link_keeps_the_link(tmp_path):
    (tmp_path / "sub").mkdir()
    target, link = tmp_path / "sub" / "a.png", tmp_path / "link.png"
    target.write_bytes(b"old")
    link.symlink_to(target)
    save(link, picture_of(), overwrite=True)
    assert link.is_symlink()
    assert_same(load(target), picture_of())
    assert sorted(tmp_path.rglob("*.tmp")) == []


def test_other_hard_links_keep_the_old_content(tmp_path):
    (tmp_path / "a.png").write_bytes(b"old")
    os.link(tmp_path / "a.png", tmp_path / "b.png")
    save(tmp_path / "a.png", picture_of(), overwrite=True)
    assert (tmp_path / "b.png").read_bytes() == b"old"


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("place", ["os.fsync", "os.replace", "os.link", "encoder"])
def test_failure_leaves_everything_as_it_was(tmp_path, monkeypatch, place, error, overwrite):
    calls = []

    def fail(*_args, **_options):
        calls.append(place)
        raise error

    path = tmp_path / "a.png"
    if overwrite:
        path.write_bytes(b"old")
    if place == "encoder":
        monkeypatch.setattr("nlmeans.images.png.write", fail)
    else:
        monkeypatch.setattr(place, fail)
        if place == "os.replace" and not overwrite:  # a file system without links
            monkeypatch.setattr("os.link", lambda *_: (_ for _ in ()).throw(OSError(95, "no")))
    expected = ImageWriteError if isinstance(error, OSError) else KeyboardInterrupt
    if place == "os.link" and (overwrite or isinstance(error, OSError)):
        save(path, picture_of(), overwrite=overwrite)  # not needed, or done without
        assert_same(load(path), picture_of())
        assert list(tmp_path.iterdir()) == [path]
        return
    with pytest.raises(expected) as caught:
        save(path, picture_of(), overwrite=overwrite)
    assert calls
    if expected is ImageWriteError:
        assert str(caught.value).startswith(f"{path}: ")
        assert "No space left on device" in str(caught.value)
    assert [p.read_bytes() for p in tmp_path.iterdir()] == ([b"old"] if overwrite else [])


@pytest.mark.parametrize("links", [True, False])
def test_a_file_that_appears_meanwhile_is_kept(tmp_path, monkeypatch, links):
    path = tmp_path / "a.png"
    encode = png.write

    def slow(*arguments):
        path.write_bytes(b"somebody else's")
        return encode(*arguments)

    monkeypatch.setattr("nlmeans.images.png.write", slow)
    if not links:
        monkeypatch.setattr("os.link", lambda *_: (_ for _ in ()).throw(OSError(95, "no")))
    with pytest.raises(ImageWriteError, match="File exists"):
        save(path, picture_of())
    assert path.read_bytes() == b"somebody else's"
    assert list(tmp_path.iterdir()) == [path]


def test_an_encoder_that_changes_the_picture_is_caught(tmp_path, monkeypatch):
    encode = png.write
    monkeypatch.setattr(
        "nlmeans.images.png.write",
        lambda picture, *how: encode(
            picture.with_pixels((picture.pixels >> 8).astype(np.uint8)), *how
        ),
    )
    with pytest.raises(ImageWriteError, match=r"encoder made .*uint8.* of .*uint16"):
        save(tmp_path / "a.png", picture_of("rgb", "uint16"))
    assert list(tmp_path.iterdir()) == []


def test_png_is_read_without_tifffile_or_numba(tmp_path):
    save(tmp_path / "a.png", picture_of())
    script = (
        "import sys; from nlmeans.images import load; load(sys.argv[1]);"
        "print({'tifffile', 'numba', 'imagecodecs', 'netpbmfile'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "a.png"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "set()"


def test_sixteen_bit_png_is_read_by_others_too(tmp_path):
    picture = picture_of("rgba", "uint16", everything())
    save(tmp_path / "a.png", picture)
    found = imagecodecs.png_decode((tmp_path / "a.png").read_bytes())
    np.testing.assert_array_equal(found, picture.pixels)
