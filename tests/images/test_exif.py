"""EXIF in TIFF files of every layout: either byte order, classic or BigTIFF, one page or many."""

import io
import struct

import numpy as np
import pytest
import tifffile
from PIL import Image

from nlmeans.images import load, save

EXIF_IFD, ISO = 34665, 34855
LONG, IFD, LONG8, IFD8 = 4, 13, 16, 18  # types that a pointer may have
MAKE = "Jos\u00e9".encode("latin-1")
LAYOUTS = pytest.mark.parametrize(
    ("order", "big"), [("<", False), (">", False), ("<", True), (">", True)]
)


def tiff(order, big, pages, pointer=None):
    """A TIFF, each page with its maker and speed where a type of pointer is given."""
    buffer = io.BytesIO()
    # tifffile refuses to write the pointer: it gets a tag before it, which is renamed
    tags = [(271, 2, len(MAKE) + 1, MAKE + b"\0", True), (EXIF_IFD - 1, LONG, 1, 0, True)]
    with tifffile.TiffWriter(buffer, bigtiff=big, byteorder=order) as writer:
        for number in range(pages):
            page = np.full((5, 6), number, np.uint16)
            writer.write(page, metadata=None, software=False, extratags=tags if pointer else ())
    data = bytearray(buffer.getvalue())
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        places = [page.tags[EXIF_IFD - 1] for page in file.pages] if pointer else []
    for number, place in enumerate(places):
        struct.pack_into(f"{order}HH", data, place.offset, EXIF_IFD, pointer)
        struct.pack_into(order + ("Q" if big else "I"), data, place.valueoffset, len(data))
        if big:
            data += struct.pack(f"{order}QHHQH6xQ", 1, ISO, 3, 1, 100 * (number + 1), 0)
        else:
            data += struct.pack(f"{order}HHHIH2xI", 1, ISO, 3, 1, 100 * (number + 1), 0)
    return bytes(data)


def told(stream):
    exif = Image.Exif()
    exif.load(stream)
    return exif[271].encode("latin-1"), exif.get_ifd(EXIF_IFD)[ISO]


@LAYOUTS
@pytest.mark.parametrize("pages", [1, 12])
def test_pages_without_exif_have_no_note(tmp_path, order, big, pages):
    (tmp_path / "a.tif").write_bytes(tiff(order, big, pages))
    found = load(tmp_path / "a.tif")
    assert found.pages == pages
    assert found.notes == ()
    assert found.metadata.exif is None


@LAYOUTS
@pytest.mark.parametrize("pages", [1, 12])
def test_exif_of_every_page_is_kept(tmp_path, order, big, pages):
    for pointer in (LONG8, IFD8) if big else (LONG, IFD):
        (tmp_path / "a.tif").write_bytes(tiff(order, big, pages, pointer))
        first = load(tmp_path / "a.tif")
        assert save(tmp_path / "b.tif", first, overwrite=True) == ()
        for found in (first, load(tmp_path / "b.tif")):
            assert found.notes == ()
            streams = [found.metadata.exif]
            if pages > 1:
                streams += found.metadata.tiff.pages.exif
            assert [told(s) for s in streams] == [(MAKE, 100 * (n + 1)) for n in range(pages)]
