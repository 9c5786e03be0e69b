"""The noise that an image has: its level, its kind, how far an estimate is to be trusted."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
