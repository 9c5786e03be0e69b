"""Threads, forks, progress and cancelling."""

import gc
import os
import threading
import weakref
from importlib import metadata

import numpy as np
import pytest
import stand_in
from processes import HANGS, run_python

from nlmeans import nl_means
from nlmeans.kernels import driver


def libraries_of(package):
    """Files of an installed package; none if it is not there."""
    try:
        files = metadata.files(package) or ()
    except metadata.PackageNotFoundError:
        return []
    return [str(file.locate().resolve()) for file in files if ".so" in file.suffixes]


TBB = [path for path in libraries_of("tbb") if "libtbb.so." in path]
LAYERS = [
    "omp",
    "workqueue",
    pytest.param("tbb", marks=pytest.mark.skipif(not TBB, reason="there is no TBB")),
]
# On one core TBB, asked for by several threads, waits for itself when the process ends by itself.
LEAVE = "import os, sys; sys.stdout.flush(); os._exit(0)"
# Numba does not find TBB in a virtual environment; once loaded, it does.
LOAD_TBB = f"import ctypes; ctypes.CDLL({TBB[0]!r}, ctypes.RTLD_GLOBAL)" if TBB else ""


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


@pytest.mark.parametrize("layer", LAYERS)
def test_concurrent_calls_and_forks(layer):
    """Several Python threads at once, then a forked child that uses and leaves the kernel."""
    out = run_python(
        LOAD_TBB,
        f"""
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
        print(numba.threading_layer(), [queue.get(timeout={HANGS}) for _ in children])
        [c.join() for c in children]
        assert [c.exitcode for c in children] == [0, 0]
        assert np.array_equal(op(x), expected)
        """,
        LEAVE,
        NUMBA_THREADING_LAYER=layer,
    )
    # before it TBB may print that forking can break threads, which it does not here
    assert out.split()[-3:] == [layer, "[True,", "True]"]


@pytest.mark.parametrize("layer", LAYERS)
def test_first_calls_at_once(layer):
    """Nothing is set up yet when the first calls come together."""
    run_python(
        LOAD_TBB,
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
        LEAVE,
        NUMBA_THREADING_LAYER=layer,
    )


def test_calls_after_the_main_thread_has_ended():
    out = run_python(
        """
        import atexit, threading, numpy as np, nlmeans
        x = np.zeros((50, 40), np.float32)
        op = nlmeans.nl_means(0.3, 0.3, 5, 9)
        op(x)
        atexit.register(lambda: print(op(x).shape))
        def later():
            threading.main_thread().join()
            print(op(x).shape)
        threading.Thread(target=later).start()
        """
    )
    assert out.count("(50, 40)") == 2


def test_read_only_input_compiles_nothing_new():
    from nlmeans.kernels.window import window_kernel

    x = np.zeros((20, 20), np.float32)
    op = nl_means(0.3, 0.3, 5, 9)
    op(x)
    before = len(window_kernel.signatures)
    x.flags.writeable = False
    op(x)
    assert len(window_kernel.signatures) == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_fork_while_another_thread_filters():
    run_python(
        """
        import os, threading, warnings, numpy as np, stand_in
        warnings.simplefilter("ignore", DeprecationWarning)
        out, running = np.full(100, -1.0), threading.Event()
        def progress(fraction):
            if fraction > 0:
                running.set()
        busy = threading.Thread(
            target=lambda: stand_in.squares(stand_in.held_kernel, progress=progress, out=out)
        )
        busy.start()
        running.wait()
        pid = os.fork()
        if pid == 0:
            out[-1] = 0  # the child's own copy
            stand_in.squares(stand_in.held_kernel, out=out)
            os._exit(int((out != np.arange(100) ** 2).any()))
        assert os.waitpid(pid, 0)[1] == 0
        assert busy.is_alive() and out[-1] == -1
        out[-1] = 0
        busy.join()
        assert (out == np.arange(100) ** 2).all()
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


def test_spawned_children():
    run_python(
        """
        if __name__ == "__main__":
            import multiprocessing, stand_in
            stand_in.squares()
            with multiprocessing.get_context("spawn").Pool(2) as pool:
                for out in pool.map(len, [stand_in.squares()] * 2):
                    assert out == 100
                assert (pool.apply(stand_in.squares) == stand_in.squares()).all()
        """
    )


def test_dask_threads():
    """Many threads of another library, each with a block and its halo."""
    array = pytest.importorskip("dask.array")
    x = np.random.default_rng(0).normal(size=(120, 90)).astype(np.float32)
    op = nl_means(0.3, 0.3, 3, 7)
    blocks = array.from_array(x, chunks=(40, 45))
    y = blocks.map_overlap(op, depth=4, boundary="none", meta=x).compute(
        scheduler="threads", num_workers=6
    )
    np.testing.assert_allclose(y, op(x), atol=1e-5)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_while_another_thread_compiles():
    """The compiler goes on when the fork has begun."""
    run_python(
        """
        import os, threading, warnings, stand_in
        warnings.simplefilter("ignore", DeprecationWarning)
        os.register_at_fork(before=stand_in.go_on.set)
        busy = threading.Thread(target=stand_in.squares, args=(stand_in.slow_kernel,))
        busy.start()
        stand_in.compiling.wait()
        assert not stand_in.go_on.is_set()
        pid = os.fork()
        if pid == 0:
            stand_in.squares()
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        busy.join()
        """,
        NUMBA_CACHE_DIR="/proc/none",  # compiles, whatever was kept
    )


def test_an_interrupt_does_not_wait_for_the_compiler():
    """The array that was left is not written to, and the next call gets its own turn."""
    run_python(
        """
        import numpy as np, stand_in
        from nlmeans.kernels import driver
        def interrupt(fraction):
            raise KeyboardInterrupt
        left = np.full(100, -1.0)
        try:
            stand_in.squares(stand_in.slow_kernel, progress=interrupt, out=left)
        except KeyboardInterrupt:
            assert driver.busy()  # with a compiler that waits to be told to go on
        else:
            raise AssertionError
        stand_in.go_on.set()
        assert (stand_in.squares(stand_in.slow_kernel) == np.arange(100) ** 2).all()
        assert (left == -1).all()
        assert len(stand_in.slow_kernel.signatures) == 1
        """,
        NUMBA_CACHE_DIR="/proc/none",
    )


@pytest.mark.parametrize("passes", [1, 100, 500])
def test_exit_while_the_kernel_thread_compiles(passes):
    """As after Ctrl-C in a script: no crash, and none of the thousand passes that are left."""
    out = run_python(
        f"""
        import atexit, threading, numpy as np, nlmeans
        from numba.core import event
        from nlmeans.kernels.window import window_kernel
        reached, leaving, count = threading.Event(), threading.Event(), 0

        class Passes(event.Listener):
            def on_start(self, event):
                global count
                count += 1
                if count == {passes}:
                    reached.set()
                    leaving.wait()
            def on_end(self, event):
                pass

        # Of functions for the exit the last one registered runs first.
        atexit.register(lambda: print(count, window_kernel.signatures))
        op = nlmeans.nl_means(0.3, 0.3, 5, 9)
        x = np.zeros((50, 40))
        from nlmeans.kernels import driver
        atexit.register(leaving.set)
        event.register("numba:run_pass", Passes())
        threading.Thread(target=op, args=(x,), daemon=True).start()
        reached.wait()
        """,
        NUMBA_CACHE_DIR="/proc/none",
    )
    assert out == f"{passes} []\n"


def test_threads_by_affinity():
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system has no affinity")
    out = run_python(
        """
        import os, numba
        from nlmeans.base.machine import usable_threads
        first = min(os.sched_getaffinity(0))
        print(usable_threads())
        os.sched_setaffinity(0, [first])
        print(usable_threads())
        """,
        NUMBA_NUM_THREADS="3",
    )
    assert int(out.split()[0]) <= 3
    assert out.split()[1] == "1"


@pytest.mark.parametrize(
    ("text", "cpus"),
    [("max 100000", None), ("-1 100000", None), ("100000 100000", 1), ("150000 100000\n", 2),
     ("5000 100000", 1), ("800000 100000", 8), ("", None), ("max", None), ("100000 0", None)],
)  # fmt: skip
def test_a_containers_quota(text, cpus):
    from nlmeans.base.machine import parse_quota

    assert parse_quota(text) == cpus


@pytest.mark.parametrize(
    ("group", "files", "cpus"),
    [
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 2),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "300000 100000\n"}, 3),
        ("0::/of/the/host\n", {"cpu.max": "100000 100000\n"}, 1),
        ("1:cpu:/\n", {"cpu/cpu.cfs_quota_us": "250000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
        ("1:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ("0::/\n", {}, None),
    ],
)  # fmt: skip
def test_a_quota_in_its_files(tmp_path, group, files, cpus):
    from nlmeans.base.machine import quota

    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "own").write_text(group)
    assert quota(tmp_path, tmp_path / "own") == cpus


def interrupt(fraction):
    raise KeyboardInterrupt


def test_an_exception_in_progress_stops_the_kernel_and_passes_through(monkeypatch):
    """The next call would wait for all of it, which takes minutes."""
    x = np.zeros((2500, 2500), np.float32)
    op = nl_means(0.3, 0.3, 5, 501)
    run, calls = driver.run, []

    def noted(kernel, arguments, done, *rest):
        calls.append(done)
        run(kernel, arguments, done, *rest)

    op(x[:64, :64])
    monkeypatch.setattr(driver, "run", noted)
    with pytest.raises(KeyboardInterrupt):
        op(x, progress=interrupt)
    np.testing.assert_array_equal(op(x[:64, :64]), 0)
    assert [bool(done.all()) for done in calls] == [False, True]


def test_a_cancelled_waiting_call_leaves_the_running_one_alone():
    running, out, left = threading.Event(), np.full(100, -1.0), np.full(100, -1.0)

    def progress(fraction):
        if fraction > 0:
            running.set()

    first = threading.Thread(
        target=lambda: stand_in.squares(stand_in.held_kernel, progress=progress, out=out)
    )
    first.start()
    running.wait()
    with pytest.raises(KeyboardInterrupt):
        stand_in.squares(progress=interrupt, out=left)
    assert first.is_alive()
    out[-1] = 0  # what the first waits for
    first.join()
    np.testing.assert_array_equal(out, np.arange(100) ** 2)
    np.testing.assert_array_equal(stand_in.squares(), out)
    assert (left == -1).all()


def test_a_worker_without_memory_is_an_error():
    run_python(
        """
        import numpy as np, pytest
        from numba import njit
        from nlmeans.kernels import driver
        from nlmeans.kernels.parallel import claim

        @njit(nogil=True)
        def greedy(taken, out, done, cancel):
            while True:
                tile = claim(taken)
                if tile >= len(done):
                    return
                if tile == 1:
                    np.empty(1 << 60)[0] = 1
                out[tile] = done[tile] = 1

        for threads in (1, 2):
            with pytest.raises(MemoryError, match="fewer threads"):
                driver.run(greedy, (np.zeros(2),), np.zeros(2, np.uint8), threads, None)
        """
    )


def test_no_thread_waits_for_tiles_dealt_to_another():
    """Whoever is free takes the next tile: behind one long tile, the others are done meanwhile."""
    run_python(
        """
        import numpy as np
        from numba import njit
        from nlmeans.kernels import driver
        from nlmeans.kernels.parallel import claim

        @njit(nogil=True)
        def uneven(taken, beside, out, done, cancel):
            count = 0  # of this worker's tiles
            while True:
                tile = claim(taken)
                if tile >= len(done):
                    return
                count += 1
                while tile == 0 and done.sum() < len(done) - 1:
                    claim(beside)  # an atomic operation: `done` is looked at each time
                out[tile] = count
                done[tile] = 1

        out = np.zeros(40)
        driver.run(uneven, (np.zeros(1, np.int64), out), np.zeros(40, np.uint8), 2, None)
        assert sorted(out) == [1, *range(1, 40)], out
        """,
        NUMBA_NUM_THREADS="2",  # on one core too
    )


def test_a_switched_off_compiler_is_named():
    run_python(
        """
        import numpy as np, nlmeans, pytest
        with pytest.raises(RuntimeError, match="NUMBA_DISABLE_JIT is set"):
            nlmeans.denoise(np.zeros((8, 9), np.float32), sigma=0.1)
        """,
        NUMBA_DISABLE_JIT="1",
    )


def test_results_are_freed_at_once():
    """Not by the garbage collector some time later: arrays may be large."""
    y = nl_means(0.3, 0.3, 3, 5)(np.zeros((50, 40), np.float32))
    left = weakref.ref(y)
    gc.disable()
    try:
        del y
        assert left() is None
    finally:
        gc.enable()
