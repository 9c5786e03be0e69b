"""Non-local means: y_i = 1/C(x) * sum over j in S(i) of f(x_i, x_j) g(x_j).

Names are imported on first use, so that `import nlmeans` is immediate and Numba is only loaded
when a kernel runs.
"""

from typing import TYPE_CHECKING

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "classical": ["nl_means"],
        "embed": ["Identity", "Linear", "Patches"],
        "operation": ["Operation"],
        "pairwise": [
            "PAIRWISE",
            "Pairwise",
            "concatenation",
            "dot_product",
            "embedded_gaussian",
            "gaussian",
        ],
        "plan": ["Plan"],
        "reference": ["ReferenceWarning"],
        "support": ["Everywhere", "Window"],
    },
)

if TYPE_CHECKING:
    from nlmeans.classical import nl_means as nl_means
