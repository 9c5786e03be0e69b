"""`threads` reaches what no kernel of ours computes: BLAS and the search for neighbours."""

import threading

import numpy as np
import pytest
import scipy.spatial
from threadpoolctl import threadpool_info, threadpool_limits

import nlmeans
from nlmeans.base.blas import blas_at_most

USUAL = 2  # as on a machine of two cores, whatever this one has


def blas_threads():
    return max(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")


@pytest.fixture(autouse=True)
def _two_threads():
    with threadpool_limits(USUAL, "blas"):
        yield


def test_limits_hold_within_the_block_alone():
    with blas_at_most(1):
        assert blas_threads() == 1
    assert blas_threads() == USUAL
    with blas_at_most(None):
        assert blas_threads() == USUAL
    with blas_at_most(50):  # no more than there were
        assert blas_threads() == USUAL


def test_concurrent_callers_leave_the_limit_as_it_was():
    other_in, leave = threading.Event(), threading.Event()

    def other():
        with blas_at_most(1):
            other_in.set()
            assert leave.wait(10)

    thread = threading.Thread(target=other)
    with blas_at_most(1):
        thread.start()
        assert other_in.wait(10)
        assert blas_threads() == 1
    leave.set()
    thread.join()
    assert blas_threads() == USUAL


def test_an_operation_of_matrix_products():
    op = nlmeans.Operation(f=nlmeans.dot_product())
    x = np.random.default_rng(0).normal(size=(6, 5, 3))
    seen = []
    op(x, channel_axis=-1, threads=1, progress=lambda _: seen.append(blas_threads()))
    assert set(seen) == {1}
    op(x, channel_axis=-1, progress=lambda _: seen.append(blas_threads()))
    assert seen[-1] == blas_threads() == USUAL


def test_fitting():
    rng = np.random.default_rng(0)
    noisy = [100.0 * (np.indices((40, 40)).sum(0) // 10 % 2) + rng.normal(0, 20, (40, 40))]
    seen = []
    nlmeans.fit_weights(
        None,
        noisy,
        sigma=20,
        patch_size=3,
        search_size=5,
        crops=4,
        steps=1,
        threads=1,
        report=lambda _: seen.append(blas_threads()),
    )
    assert set(seen) == {1}


@pytest.mark.parametrize("size", [{"k": 3}, {"radius": 0.5}])
def test_neighbours(size, monkeypatch):
    asked = []

    class Tree(scipy.spatial.cKDTree):
        def query(self, *args, workers, **kwargs):
            asked.append(workers)
            return super().query(*args, workers=workers, **kwargs)

        def query_ball_point(self, *args, workers, **kwargs):
            asked.append(workers)
            return super().query_ball_point(*args, workers=workers, **kwargs)

    monkeypatch.setattr("scipy.spatial.cKDTree", Tree)
    points = np.random.default_rng(0).random((20, 2))
    over = nlmeans.Neighbours(points, **size)
    op = nlmeans.Operation(f=nlmeans.gaussian(h=1, patch_size=1), over=over)
    op(points[:, 0], threads=1)
    op(points[:, 0], threads=2)  # found already
    assert asked == [1]


def test_points(monkeypatch):
    seen = []
    solve = np.linalg.eigh
    monkeypatch.setattr(np.linalg, "eigh", lambda a: (seen.append(blas_threads()), solve(a))[1])
    cloud = np.random.default_rng(0).normal(size=(300, 3)) * [1, 1, 0.01]
    nlmeans.estimate_points_sigma(cloud, threads=1)
    assert set(seen) == {1}
