"""Non-local means: y_i = 1/C(x) * sum over j of f(x_i, x_j) g(x_j)."""

__version__ = "0.1.0"
