"""Run what a plan names. Each kernel's preparation is a module here: what it is given, and how its
result becomes planes again. Numba is imported where a kernel runs, not before.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nlmeans.base.blas import blas_at_most
from nlmeans.base.progress import Progress
from nlmeans.operation.reference import reference
from nlmeans.operation.run.linear import run_linear
from nlmeans.operation.run.sorted import run_sorted

if TYPE_CHECKING:
    from nlmeans.operation.operation import Operation
    from nlmeans.operation.plan import Plan


def run(
    op: "Operation",
    plan: "Plan",
    planes: NDArray[Any],
    guide: NDArray[Any] | None,
    threads: int | None,
    progress: Progress | None,
) -> NDArray[Any]:
    """The operation on planes (C, *grid), float32 or float64, by the kernel of its plan.

    Parameters
    ----------
    op, plan
    planes : array (C, *grid), float32 or float64, maybe a view of the user's
    guide : array (C', *grid) of the same dtype, optional
        What f looks at in place of the planes.
    threads, progress
        As `nlmeans.kernels.driver.run` takes them.

    Returns
    -------
    array (outputs of g, *grid)
    """
    if plan.kernel == "window":
        from nlmeans.operation.run.window import run_window

        return run_window(op, plan, *_contiguous(planes, guide), threads, progress)
    with blas_at_most(threads):  # embeddings are products of matrices, as the linear kernel is
        return _run_any(op, plan, planes, guide, threads, progress)


def _run_any(
    op: "Operation",
    plan: "Plan",
    planes: NDArray[Any],
    guide: NDArray[Any] | None,
    threads: int | None,
    progress: Progress | None,
) -> NDArray[Any]:
    if plan.kernel == "linear":
        return run_linear(op, planes, guide, progress)
    if plan.kernel == "sorted":
        return run_sorted(op, planes, guide, progress)
    if plan.kernel == "stream":
        from nlmeans.operation.run.stream import run_stream

        return run_stream(op, planes, guide, threads, progress)
    planes, guide = _contiguous(planes, guide)
    if plan.kernel == "rowwise":
        from nlmeans.operation.run.rowwise import run_rowwise

        return run_rowwise(op, plan, planes, guide, threads, progress)
    if plan.kernel == "neighbours":
        from nlmeans.operation.run.neighbours import run_neighbours

        return run_neighbours(op, planes, guide, threads, progress)
    if plan.kernel == "neighbourhood":
        from nlmeans.operation.run.neighbourhood import run_neighbourhood

        return run_neighbourhood(op, planes, guide, threads, progress)
    last = np.moveaxis(planes, 0, -1)
    guide_last = None if guide is None else np.moveaxis(guide, 0, -1)
    return np.moveaxis(reference(op.f, op.g, op.over, last, guide_last, progress), -1, 0)


def _contiguous(
    planes: NDArray[Any], guide: NDArray[Any] | None
) -> tuple[NDArray[Any], NDArray[Any] | None]:
    return np.ascontiguousarray(planes), None if guide is None else np.ascontiguousarray(guide)
