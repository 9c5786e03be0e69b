"""All peers by name: a new one is a file and a line."""

from collections.abc import Callable

from nlmeans.operation.operation import Operation
from nlmeans.peers.dipy import DIPY
from nlmeans.peers.ffmpeg import FFMPEG
from nlmeans.peers.ipol import IPOL
from nlmeans.peers.knlmeans import KNLMEANS
from nlmeans.peers.opencv import OPENCV
from nlmeans.peers.peer import Peer
from nlmeans.peers.skimage import SKIMAGE

KNOWN: dict[str, Peer] = {
    peer.name: peer for peer in (OPENCV, SKIMAGE, FFMPEG, DIPY, IPOL, KNLMEANS)
}
PEERS: dict[str, Callable[..., Operation]] = {name: peer.make for name, peer in KNOWN.items()}
DIFFERENCES = {name: peer.differences for name, peer in KNOWN.items()}
