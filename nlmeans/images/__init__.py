"""Image files: the only package that opens them. It knows of no operation.

Two promises: pixels come back bit for bit wherever the format allows it, and whatever a format
cannot hold is refused or named in a note, never dropped in silence.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
