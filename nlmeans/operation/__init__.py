"""The equation y_i = 1/C(x) sum_j f(x_i, x_j) g(x_j) as a value, its parts, and what runs it."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
