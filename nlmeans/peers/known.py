"""All peers by name, and what each does besides."""

from collections.abc import Callable

from nlmeans.operation.operation import Operation
from nlmeans.peers.dipy import from_dipy
from nlmeans.peers.ffmpeg import from_ffmpeg
from nlmeans.peers.ipol import from_ipol
from nlmeans.peers.knlmeans import from_knlmeans
from nlmeans.peers.opencv import from_opencv
from nlmeans.peers.skimage import from_skimage

PEERS: dict[str, Callable[..., Operation]] = {
    "opencv": from_opencv,
    "skimage": from_skimage,
    "ffmpeg": from_ffmpeg,
    "dipy": from_dipy,
    "ipol": from_ipol,
    "knlmeans": from_knlmeans,
}

# What the call does besides, in a line each.
DIFFERENCES = {
    "opencv": "OpenCV rounds distances and weights",
    "skimage": "scikit-image's fast mode approximates exp within 4 %",
    "ffmpeg": "FFmpeg filters each plane alone and repeats edge pixels in patches",
    "dipy": "DIPY averages squares; with method='blockwise', blocks",
    "ipol": "IPOL's program averages whole patches, and shrinks them near the border",
    "knlmeans": "KNLMeansCL repeats edge pixels beyond the border",
}
