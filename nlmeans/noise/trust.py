"""How far an estimate of nearly no noise is trusted: it may be texture."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

# An estimate of the noise of nearly clean pictures counts texture and film grain too. Over the
# range of the image: what they pass for at most, and the estimate from which all is trusted. Chosen
# on 50 images of Train400 and 24 crops of the odd-numbered Kodak24 in 8 bits, sigma 0.5 to 3: at
# sigma 1 "classic" harms 1 of these by more than 0.1 dB, 3 with 1.4 and 6 with 1.2; at sigma 2
# none, and "ridge" gains 1.27, 1.40 and 1.47 dB. Over the contrast, in place of the range, no bound
# does for textures of low contrast.
_TEXTURE, _TRUSTED = 1.6 / 255, 5 / 255
# Outside these percentiles lie hot and dead pixels, which say nothing of the picture's range. On
# pictures of Train400 the range between them is 0.99 of the whole in the median, 0.84 at least.
# That is 1.15 times what lies between the inner ones in the median, 3.2 at most; of stars in a
# night sky it can be 100.
_PERCENTILES, _MOST_OF_INNER = (0.01, 1, 99, 99.99), 4
_MOST_LOOKED_AT = 1 << 20  # positions, evenly spread along each axis


def trust_in(sigma: float, image: NDArray[Any], channel_axis: int | None = None) -> float:
    """Share of what a filter removes that is taken out where sigma was estimated: 0 to 1.

    Blending by a share a with an image without method noise r changes the squared error by

        a^2 mean(r^2) - 2 a mean(r n),

    n the noise. If of the estimate sigma^2 only sigma^2 - t^2 is noise, and t^2 texture, then
    mean(r n) falls by that, and with it the best share. So

        a = (1 - t^2/sigma^2) / (1 - t^2/T^2), within 0 and 1,

    where t is the most that texture passes for, 0.6 % of the range of the image, and T, 2 %, is
    the noise from which texture matters no more. The range leaves out 0.01 % at either end, and is
    at most four times what is left without 1 %, so that hot pixels, stars and the like do not make
    the noise look small. The share is found without r, so that the
    parts of an image come out as the whole.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.arange(256, dtype=np.uint8).reshape(16, 16)
    >>> [round(trust_in(sigma, image), 2) for sigma in (1, 2, 3, 5)]
    [0.0, 0.4, 0.8, 1.0]
    """
    planes = image[None] if channel_axis is None else np.moveaxis(image, channel_axis, 0)
    grid = planes.shape[1:]
    step = math.ceil((math.prod(grid) / _MOST_LOOKED_AT) ** (1 / len(grid)))
    seen = planes[(slice(None), *(slice(None, None, step) for _ in grid))]
    # In the order of memory, in which they are copied three times as fast.
    ends = np.percentile(seen.ravel(order="K"), _PERCENTILES, method="nearest")
    # Halved, for a range may be above the largest float.
    lowest, low, high, highest = map(float, ends.astype(np.float64) / 2)
    half = highest - lowest
    if high > low:
        half = min(half, _MOST_OF_INNER * (high - low))
    if sigma == 0 or half == 0:
        return 1.0
    level = sigma / 2 / half
    if level <= _TEXTURE:
        return 0.0
    share = (1 - (_TEXTURE / level) ** 2) / (1 - (_TEXTURE / _TRUSTED) ** 2)
    return min(share, 1.0)
