"""Non-local means: y_i = 1/C(x) * sum over j in S(i) of f(x_i, x_j) g(x_j).

Names are imported on first use, so that `import nlmeans` is immediate and Numba is only loaded
when a kernel runs.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
