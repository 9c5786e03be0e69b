"""What other programs call non-local means, as operations of this one.

Each function takes a peer's own parameters, with its names and defaults, and gives the `Operation`
that does what that call does. All of them weigh by exp(-max(MSD - b, 0)/h^2), MSD the mean squared
difference of two patches; they differ in what they call h, in units, borders, the centre's weight,
the weight below which they count none, and in details that the Operation leaves out: `DIFFERENCES`
says which, peer by peer.

Parameters keep the peer's units; `peak` is what its white is in the array's: 255 of an 8-bit peer
is 65535 in a uint16 array and 1 in floats from 0 to 1.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
