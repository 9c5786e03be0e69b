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
        "block": ["Block", "Chain"],
        "checks": ["ParameterError"],
        "classical": ["nl_means"],
        "budget": ["Cost"],
        "denoising": ["denoise", "expected_cost"],
        "embed": ["Identity", "Linear", "Patches"],
        "group_operation": ["group_operation"],
        "groups": ["GroupMeans"],
        "fitting": ["Fit", "Step", "fit_weights"],
        "noise": ["estimate_sigma", "estimate_stack_sigma"],
        "noise_fit": ["estimate_noise"],
        "operation": ["Operation"],
        "pairwise": [
            "PAIRWISE",
            "Pairwise",
            "concatenation",
            "dot_product",
            "embedded_gaussian",
            "gaussian",
        ],
        "pca": ["pca_weights"],
        "plan": ["Plan"],
        "pool": ["Pool"],
        "points": ["denoise_points", "estimate_points_sigma", "expected_points_cost"],
        "reference": ["ReferenceWarning"],
        "ridge": ["Ridge"],
        "settings": ["Settings", "settings_for"],
        "stabilise": ["Noise"],
        "support": ["Everywhere", "Neighbours", "Regions", "Window"],
        "weights": [
            "LoadedWeights",
            "WeightsError",
            "WeightsWarning",
            "WeightsWriteError",
            "load_weights",
            "save_weights",
        ],
    },
)

if TYPE_CHECKING:
    from nlmeans.block import Block as Block
    from nlmeans.block import Chain as Chain
    from nlmeans.budget import Cost as Cost
    from nlmeans.checks import ParameterError as ParameterError
    from nlmeans.classical import nl_means as nl_means
    from nlmeans.denoising import denoise as denoise
    from nlmeans.denoising import expected_cost as expected_cost
    from nlmeans.embed import Identity as Identity
    from nlmeans.embed import Linear as Linear
    from nlmeans.embed import Patches as Patches
    from nlmeans.fitting import Fit as Fit
    from nlmeans.fitting import Step as Step
    from nlmeans.fitting import fit_weights as fit_weights
    from nlmeans.group_operation import group_operation as group_operation
    from nlmeans.groups import GroupMeans as GroupMeans
    from nlmeans.noise import estimate_sigma as estimate_sigma
    from nlmeans.noise import estimate_stack_sigma as estimate_stack_sigma
    from nlmeans.noise_fit import estimate_noise as estimate_noise
    from nlmeans.operation import Operation as Operation
    from nlmeans.pairwise import PAIRWISE as PAIRWISE
    from nlmeans.pairwise import Pairwise as Pairwise
    from nlmeans.pairwise import concatenation as concatenation
    from nlmeans.pairwise import dot_product as dot_product
    from nlmeans.pairwise import embedded_gaussian as embedded_gaussian
    from nlmeans.pairwise import gaussian as gaussian
    from nlmeans.pca import pca_weights as pca_weights
    from nlmeans.plan import Plan as Plan
    from nlmeans.points import denoise_points as denoise_points
    from nlmeans.points import estimate_points_sigma as estimate_points_sigma
    from nlmeans.points import expected_points_cost as expected_points_cost
    from nlmeans.pool import Pool as Pool
    from nlmeans.reference import ReferenceWarning as ReferenceWarning
    from nlmeans.ridge import Ridge as Ridge
    from nlmeans.settings import Settings as Settings
    from nlmeans.settings import settings_for as settings_for
    from nlmeans.stabilise import Noise as Noise
    from nlmeans.support import Everywhere as Everywhere
    from nlmeans.support import Neighbours as Neighbours
    from nlmeans.support import Regions as Regions
    from nlmeans.support import Window as Window
    from nlmeans.weights import LoadedWeights as LoadedWeights
    from nlmeans.weights import WeightsError as WeightsError
    from nlmeans.weights import WeightsWarning as WeightsWarning
    from nlmeans.weights import WeightsWriteError as WeightsWriteError
    from nlmeans.weights import load_weights as load_weights
    from nlmeans.weights import save_weights as save_weights
