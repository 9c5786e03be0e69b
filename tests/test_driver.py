"""Threads, forks, progress and cancelling."""

import os
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest

from nlmeans import nl_means


def run_python(code, **environment):
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=400,  # two children compile a kernel of their own
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_threads_change_no_bit():
    out = run_python(
        """
        import hashlib, numpy as np, nlmeans
        x = np.random.default_rng(0).normal(size=(300, 200)).astype(np.float32)
        for threads in (1, 2, 3, 4, None):
            y = nlmeans.nl_means(0.3, 0.3, 5, 9)(x, threads=threads)
            print(hashlib.sha256(y.tobytes()).hexdigest())
        """,
        NUMBA_NUM_THREADS="4",
    )
    assert len(out.split()) == 5
    assert len(set(out.split())) == 1


@pytest.mark.parametrize("layer", ["omp", "workqueue"])
def test_concurrent_calls_and_forks(layer):
    """Several Python threads at once, then a forked child that uses and leaves the kernel."""
    out = run_python(
        """
        import multiprocessing, threading, warnings, numba, numpy as np, nlmeans
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking with threads
        x = np.random.default_rng(0).normal(size=(200, 150)).astype(np.float32)
        op = nlmeans.nl_means(0.3, 0.3, 5, 9)
        expected = op(x)
        wrong = []
        def work():
            for _ in range(5):
                if not np.array_equal(op(x), expected):
                    wrong.append(1)
        threads = [threading.Thread(target=work) for _ in range(6)]
        [t.start() for t in threads]; [t.join() for t in threads]
        assert not wrong
        def child(queue):
            queue.put(bool(np.array_equal(op(x), expected)))
        context = multiprocessing.get_context("fork")
        queue = context.Queue()
        children = [context.Process(target=child, args=(queue,)) for _ in range(2)]
        [c.start() for c in children]
        print(numba.threading_layer(), [queue.get(timeout=240) for _ in children])
        [c.join() for c in children]
        assert [c.exitcode for c in children] == [0, 0]
        assert np.array_equal(op(x), expected)
        """,
        NUMBA_THREADING_LAYER=layer,
    )
    assert out.split() == [layer, "[True,", "True]"]


@pytest.mark.parametrize("layer", ["omp", "workqueue"])
def test_first_calls_at_once(layer):
    """Nothing is set up yet when the first calls come together."""
    run_python(
        """
        import threading, numpy as np, nlmeans
        x = np.zeros((100, 90), np.float32)
        barrier = threading.Barrier(6)
        results = []
        def work():
            barrier.wait()
            results.append(nlmeans.nl_means(0.3, 0.3, 5, 9)(x))
        threads = [threading.Thread(target=work) for _ in range(6)]
        [t.start() for t in threads]; [t.join() for t in threads]
        assert len(results) == 6
        """,
        NUMBA_THREADING_LAYER=layer,
    )


def test_calls_after_the_main_thread_has_ended():
    out = run_python(
        """
        import atexit, threading, time, numpy as np, nlmeans
        x = np.zeros((50, 40), np.float32)
        op = nlmeans.nl_means(0.3, 0.3, 5, 9)
        op(x)
        atexit.register(lambda: print(op(x).shape))
        threading.Thread(target=lambda: (time.sleep(0.5), print(op(x).shape))).start()
        """
    )
    assert out.count("(50, 40)") == 2


def test_read_only_input_compiles_nothing_new():
    from nlmeans.kernels.window import window_parallel

    x = np.zeros((20, 20), np.float32)
    op = nl_means(0.3, 0.3, 5, 9)
    op(x)
    before = len(window_parallel.signatures)
    x.flags.writeable = False
    op(x)
    assert len(window_parallel.signatures) == before


def test_fork_while_another_thread_filters():
    run_python(
        """
        import os, threading, warnings, numpy as np, nlmeans
        warnings.simplefilter("ignore", DeprecationWarning)
        x = np.random.default_rng(0).normal(size=(600, 600)).astype(np.float32)
        op = nlmeans.nl_means(0.3, 0.3, 5, 21)
        op(x[:50])
        busy = threading.Thread(target=op, args=(x,))
        busy.start()
        pid = os.fork()
        if pid == 0:
            op(x[:50])
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        busy.join()
        """
    )


@pytest.mark.parametrize("centre", ["one", "zero"])
def test_progress_rises_to_one(centre):
    seen = []
    x = np.zeros((900, 700), np.float32)
    x[0, 0] = 1000  # an isolated pixel
    nl_means(0.3, 0.3, 5, 21, centre=centre)(x, progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


def test_an_exception_in_progress_stops_the_kernel_and_passes_through():
    x = np.zeros((2500, 2500), np.float32)
    op = nl_means(0.3, 0.3, 5, 501)

    def interrupt(fraction):
        raise KeyboardInterrupt

    op(x[:64, :64])
    start = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        op(x, progress=interrupt)
    assert time.perf_counter() - start < 10  # the whole takes minutes
    np.testing.assert_array_equal(op(x[:64, :64]), 0)


def test_a_cancelled_waiting_call_leaves_the_running_one_alone():
    x = np.random.default_rng(0).normal(size=(1500, 1500)).astype(np.float32)
    op = nl_means(0.3, 0.3, 5, 21)
    results = []
    first = threading.Thread(target=lambda: results.append(op(x)))
    first.start()

    def interrupt(fraction):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        op(x, progress=interrupt)
    first.join()
    np.testing.assert_array_equal(results[0], op(x))
