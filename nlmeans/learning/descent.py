"""From the classical start to the matrices of least error, by L-BFGS."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from nlmeans.learning.matrices import BlockMatrices, by_free, changed
from nlmeans.learning.model import BlockShape, Example, error_and_gradient, squared_error


def best_start(
    starts: list[tuple[BlockMatrices, BlockShape]], training: list[Example]
) -> tuple[BlockMatrices, BlockShape]:
    """The one of least error, on some of the crops."""
    seen = training[:: max(len(training) // 40, 1)]
    return min(starts, key=lambda each: _error(each[0], each[1], seen))


def descend(
    start: BlockMatrices,
    geometry: BlockShape,
    training: list[Example],
    held: list[Example],
    steps: int,
    patience: int,
    told: Callable[[int, float, float], None],
) -> BlockMatrices:
    """The matrices that are best on the held-out crops on the way of L-BFGS."""
    from scipy.optimize import OptimizeResult, minimize

    count = sum(each.size for each in training)

    def error(free: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        matrices = changed(start, free).astype(np.float32)
        total, gradient = 0.0, np.zeros_like(free)
        for example in training:
            squares, by_matrices = error_and_gradient(matrices, geometry, example)
            total += squares
            gradient += by_matrices.flat()
        return total / count, by_free(start.of_flat(gradient)) / count

    best = _error(start, geometry, held), 0, np.zeros(start.flat().size)
    told(0, _error(start, geometry, training), best[0])
    step = 0

    def watch(intermediate_result: OptimizeResult) -> None:
        nonlocal best, step
        step += 1
        free = np.array(intermediate_result.x)
        by_held = _error(changed(start, free), geometry, held)
        told(step, float(intermediate_result.fun), by_held)
        if by_held < best[0]:
            best = by_held, step, free
        elif step - best[1] >= patience:
            raise StopIteration

    minimize(
        error,
        best[2],
        jac=True,
        method="L-BFGS-B",
        callback=watch,
        options={"maxiter": steps, "maxcor": 20},
    )
    return changed(start, best[2])


def _error(matrices: BlockMatrices, geometry: BlockShape, examples: list[Example]) -> float:
    """Mean square, in the unit of the examples."""
    single = matrices.astype(np.float32)
    count = sum(each.size for each in examples)
    return sum(squared_error(single, geometry, each) for each in examples) / count
