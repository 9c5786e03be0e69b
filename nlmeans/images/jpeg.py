"""JPEG of one (grey) or three (colour) components."""

from nlmeans.images import pillow
from nlmeans.images.picture import Picture

header = pillow.header

QUALITY = 95
# Beginnings of segments that are the coding, or that Pillow reads for us.
KNOWN = (
    b"JFIF",
    b"JFXX",
    pillow.EXIF_PREFIX,
    b"http://ns.adobe.com/xap/",
    b"ICC_PROFILE\0",
    b"Adobe",
)


def read(data: bytes) -> Picture:
    """The picture, with a note for segments and further pictures that are left behind."""
    image, mode = pillow.opened(data, "JPEG")
    lost = sorted({name for name, body in image.applist if not body.startswith(KNOWN)})
    notes: tuple[str, ...] = (f"JPEG segments not kept: {', '.join(lost)}",) if lost else ()
    frames = getattr(image, "n_frames", 1)
    if frames > 1:  # MPO: phones put a gain map or a second view behind the photograph
        notes += (f"{frames - 1} further pictures inside the JPEG not kept",)
    if image.info.get("jfif_unit") not in (1, 2) and image.info.get("dpi") == (72, 72):
        del image.info["dpi"]  # Pillow's guess for EXIF that does not say
    return pillow.picture_of(pillow.decoded(data, mode), "JPEG", image.info, notes)


def write(picture: Picture, _suffix: str, quality: int | None) -> tuple[bytes, tuple[str, ...]]:
    """Colours at full resolution (4:4:4)."""
    options = pillow.metadata_options(picture.metadata)
    if "exif" in options:
        options["exif"] = pillow.EXIF_PREFIX + options["exif"]
    return pillow.encoded(picture, {"quality": quality or QUALITY, "subsampling": 0, **options}), ()
