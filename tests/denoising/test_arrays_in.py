"""Arrays of other libraries, by `__array__` or DLPack."""

import numpy as np
import pytest

import nlmeans
from nlmeans.base.arrays import as_array


class ByDLPack:
    """An array that speaks DLPack and nothing else."""

    def __init__(self, array, device=None):
        self.array, self.device = array, device

    def __dlpack__(self, **options):
        if self.device is not None:
            raise BufferError(f"on device {self.device}")
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.device or self.array.__dlpack_device__()


class ByArray:
    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return self.array


@pytest.fixture
def image(rng):
    return rng.normal(100, 20, (16, 17)).astype(np.float32)


@pytest.mark.parametrize("wrapped", [ByDLPack, ByArray])
def test_arrays_of_other_libraries_give_what_numpy_arrays_give(wrapped, image):
    op = nlmeans.nl_means(20)
    result = op(wrapped(image), guide=wrapped(image))
    assert type(result) is np.ndarray
    np.testing.assert_array_equal(result, op(image, guide=image))
    np.testing.assert_array_equal(
        nlmeans.denoise(wrapped(image), 20.0), nlmeans.denoise(image, 20.0)
    )
    assert nlmeans.estimate_sigma(wrapped(image)) == nlmeans.estimate_sigma(image)
    batch = np.stack([image, image[::-1]])
    np.testing.assert_array_equal(
        op(wrapped(batch), guide=wrapped(batch), batch_axis=0), op(batch, batch_axis=0)
    )


def test_matrices_labels_and_positions_of_other_libraries(rng):
    matrix, labels = rng.normal(size=(2, 3)), np.array([0, 0, 1])
    assert nlmeans.Linear(ByDLPack(matrix), ByDLPack(np.ones(2))) == nlmeans.Linear(matrix, [1, 1])
    assert nlmeans.Regions(labels=ByDLPack(labels)) == nlmeans.Regions(labels=labels)
    assert nlmeans.Neighbours(ByDLPack(matrix), k=1) == nlmeans.Neighbours(matrix, k=1)
    assert nlmeans.concatenation(ByArray(matrix[0, :2])) == nlmeans.concatenation(matrix[0, :2])


def test_memory_is_shared_and_not_written_to(image):
    assert np.shares_memory(as_array("x", ByDLPack(image)), image)
    assert as_array("x", image) is image
    before = image.copy()
    nlmeans.nl_means(20)(ByDLPack(image))
    np.testing.assert_array_equal(image, before)


def test_arrays_on_another_device_are_refused(image):
    with pytest.raises(TypeError, match=r"^x is a ByDLPack .*on device \(2, 0\).*CPU's memory"):
        nlmeans.nl_means(20)(ByDLPack(image, device=(2, 0)))


def test_a_list_that_is_no_array_keeps_numpys_message():
    with pytest.raises(ValueError, match="inhomogeneous"):
        nlmeans.nl_means(20)([[1.0], [1.0, 2.0]])


def test_torch_tensors(image):
    torch = pytest.importorskip("torch")
    op = nlmeans.nl_means(20)
    result = op(torch.from_numpy(image))
    assert type(result) is np.ndarray
    np.testing.assert_array_equal(result, op(image))
    assert np.shares_memory(as_array("x", torch.from_numpy(image)), image)
    with pytest.raises(TypeError, match=r"^x requires a gradient.*x\.detach\(\)$"):
        op(torch.from_numpy(image).requires_grad_())
    with pytest.raises(TypeError, match=r"^weight requires a gradient"):
        nlmeans.Linear(torch.nn.Linear(3, 2).weight)
    with pytest.raises(TypeError, match=r"^x is a Tensor that NumPy cannot read .*float32"):
        op(torch.from_numpy(image).to(torch.bfloat16))
    with pytest.raises(TypeError, match=r"^x is a Tensor that NumPy cannot read"):
        op(torch.empty((3, 4), device="meta"))
    with pytest.raises(TypeError, match="dtype complex64"):
        op(torch.zeros((3, 4), dtype=torch.complex64))
