"""Every layout against a PyTorch module written from what that layout's code is known to do."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `torch` is not installed")
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

import nlmeans  # noqa: E402

CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
NORMS = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
POOLS = {1: nn.MaxPool1d(2), 2: nn.MaxPool2d(2), 3: nn.MaxPool3d((1, 2, 2))}
GRIDS = {1: (9,), 2: (3, 5), 3: (2, 3, 5)}  # odd sizes
CHANNELS, INNER = 6, 3


def conv(n, inputs, outputs, bias=True):
    return CONVOLUTIONS[n](inputs, outputs, 1, bias=bias)


def columns(x):
    """(B, d, *grid) -> (B, d, N)."""
    return x.flatten(2)


def attend(logits, g, *, softmax_dim=-1):
    """(B, N, M) logits and (B, d_v, M) values -> (B, d_v, N)."""
    return torch.einsum("bnm,bdm->bdn", logits.softmax(softmax_dim), g)


def products(theta, phi):
    return torch.einsum("bdn,bdm->bnm", columns(theta), columns(phi))


def by_count(weights, g):
    return torch.einsum("bnm,bdm->bdn", weights, columns(g)) / weights.shape[-1]


class AlexHex7(nn.Module):
    def __init__(self, n, mode="embedded_gaussian", sub_sample=True, norm=True):
        super().__init__()
        self.mode, self.pool = mode, POOLS[n] if sub_sample else nn.Identity()

        def pooled():
            made = conv(n, CHANNELS, INNER)
            return nn.Sequential(made, POOLS[n]) if sub_sample else made

        self.g = pooled()
        if mode != "gaussian":
            self.theta, self.phi = conv(n, CHANNELS, INNER), pooled()
        if mode == "concatenation":
            self.concat_project = nn.Sequential(nn.Conv2d(2 * INNER, 1, 1, bias=False), nn.ReLU())
        out = conv(n, INNER, CHANNELS)
        self.W = nn.Sequential(out, NORMS[n](CHANNELS)) if norm else out

    def forward(self, x):
        g = self.g(x)
        if self.mode == "gaussian":
            y = attend(products(x, self.pool(x)), columns(g))
        elif self.mode == "concatenation":
            theta, phi = columns(self.theta(x)), columns(self.phi(x))
            pairs = torch.cat(
                [
                    theta[..., None].expand(*theta.shape, phi.shape[-1]),
                    phi[..., None, :].expand(*phi.shape[:2], theta.shape[-1], phi.shape[-1]),
                ],
                dim=1,
            )
            y = by_count(self.concat_project(pairs)[:, 0], g)
        else:
            logits = products(self.theta(x), self.phi(x))
            dot = self.mode == "dot_product"
            y = by_count(logits, g) if dot else attend(logits, columns(g))
        return self.W(y.reshape(*x.shape[:1], -1, *x.shape[2:])) + x


class Tsm(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.base_model = nn.Module()
        self.base_model.layer2 = nn.ModuleList([nn.Module()])
        self.base_model.layer2[0].nl = AlexHex7(n)

    def forward(self, x):
        return self.base_model.layer2[0].nl(x)


class Tea1528(AlexHex7):
    """No pool; W_z and W_f by these names, and W_f with a bias."""

    def __init__(self, n, mode):
        super().__init__(n, mode, sub_sample=False)
        self.W_z = self.W
        del self.W
        if mode == "concatenation":
            del self.concat_project
            self.W_f = nn.Sequential(nn.Conv2d(2 * INNER, 1, 1), nn.ReLU())

    def forward(self, x):
        self.__dict__.update(W=self._modules["W_z"], concat_project=self._modules.get("W_f"))
        return super().forward(x)


class Convolved(nn.Module):
    """mmcv's ConvModule as far as it has parameters here."""

    def __init__(self, n, inputs, outputs, norm=False, bias=True):
        super().__init__()
        self.conv = conv(n, inputs, outputs, bias and not norm)
        if norm:
            self.bn = NORMS[n](outputs)

    def forward(self, x):
        x = self.conv(x)
        return self.bn(x) if hasattr(self, "bn") else x


class Mmcv(nn.Module):
    def __init__(self, n, mode="embedded_gaussian", sub_sample=True, use_scale=True):
        super().__init__()
        self.mode, self.use_scale = mode, use_scale
        self.pool = POOLS[n] if sub_sample else nn.Identity()

        def pooled():
            made = Convolved(n, CHANNELS, INNER)
            return nn.Sequential(made, POOLS[n]) if sub_sample else made

        self.g, self.conv_out = pooled(), Convolved(n, INNER, CHANNELS, norm=True)
        if mode != "gaussian":
            self.theta, self.phi = Convolved(n, CHANNELS, INNER), pooled()
        if mode == "concatenation":
            self.concat_project = Convolved(2, 2 * INNER, 1, bias=False)

    def forward(self, x):
        g = self.g(x)
        if self.mode == "gaussian":
            y = attend(products(x, self.pool(x)), columns(g))
        elif self.mode == "concatenation":
            theta, phi = columns(self.theta(x)), columns(self.phi(x))
            n, m = theta.shape[-1], phi.shape[-1]
            pairs = torch.cat(
                [theta[..., None].repeat(1, 1, 1, m), phi[..., None, :].repeat(1, 1, n, 1)], dim=1
            )
            y = by_count(functional.relu(self.concat_project(pairs))[:, 0], g)
        else:
            theta = self.theta(x)
            logits = products(theta, self.phi(x))
            if self.mode == "dot_product":
                y = by_count(logits, g)
            else:
                y = attend(logits / INNER**0.5 if self.use_scale else logits, columns(g))
        return x + self.conv_out(y.reshape(*x.shape[:1], -1, *x.shape[2:]))


class SlowFast(nn.Module):
    def __init__(self, mode="embedded_gaussian", norm="bn"):
        super().__init__()
        self.mode, self.norm_name = mode, norm
        self.conv_theta, self.conv_phi, self.conv_g = (conv(3, CHANNELS, INNER) for _ in range(3))
        self.conv_out = conv(3, INNER, CHANNELS)
        setattr(self, norm, nn.BatchNorm3d(CHANNELS))

    def forward(self, x):
        fewer = POOLS[3](x)
        logits, g = products(self.conv_theta(x), self.conv_phi(fewer)), self.conv_g(fewer)
        if self.mode == "dot_product":
            y = by_count(logits, g)
        else:
            y = attend(logits * INNER**-0.5, columns(g))
        y = self.conv_out(y.reshape(*x.shape[:1], -1, *x.shape[2:]))
        return x + getattr(self, self.norm_name)(y)


class Timm(nn.Module):
    def __init__(self):
        super().__init__()
        self.t, self.p, self.g = (conv(2, CHANNELS, INNER) for _ in range(3))
        self.z, self.norm = conv(2, INNER, CHANNELS), nn.BatchNorm2d(CHANNELS)

    def forward(self, x):
        y = attend(products(self.t(x), self.p(x)) * CHANNELS**-0.5, columns(self.g(x)))
        return self.norm(self.z(y.reshape(*x.shape[:1], -1, *x.shape[2:]))) + x


class Rnan(nn.Module):
    """Its softmax runs over the queries."""

    def __init__(self):
        super().__init__()
        self.g, self.theta, self.phi = (conv(2, CHANNELS, INNER) for _ in range(3))
        self.W = conv(2, INNER, CHANNELS)

    def forward(self, x):
        y = attend(products(self.theta(x), self.phi(x)), columns(self.g(x)), softmax_dim=1)
        return self.W(y.reshape(*x.shape[:1], -1, *x.shape[2:])) + x


class Nlrn(nn.Module):
    """No W_z: g gives the channels back."""

    def __init__(self):
        super().__init__()
        self.theta, self.phi = conv(2, CHANNELS, INNER), conv(2, CHANNELS, INNER)
        self.g = conv(2, CHANNELS, CHANNELS)

    def forward(self, x):
        return x + attend(products(self.theta(x), self.phi(x)), columns(self.g(x))).reshape(x.shape)


class Sagan(nn.Module):
    def __init__(self):
        super().__init__()
        self.query_conv, self.key_conv = conv(2, CHANNELS, INNER), conv(2, CHANNELS, INNER)
        self.value_conv = conv(2, CHANNELS, CHANNELS)
        self.gamma = nn.Parameter(torch.tensor([0.7]))

    def forward(self, x):
        logits = products(self.query_conv(x), self.key_conv(x))
        return self.gamma * attend(logits, columns(self.value_conv(x))).reshape(x.shape) + x


class Normalised(nn.Module):
    """A convolution that is divided by its spectral norm, found by one step from u0."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 1, 1))
        self.register_buffer("u0", torch.randn(1, outputs))
        self.register_buffer("sv0", torch.ones(1))

    def forward(self, x):
        matrix = self.weight.flatten(1)
        v = functional.normalize(self.u0 @ matrix, eps=1e-12)
        u = functional.normalize(v @ matrix.T, eps=1e-12)
        sigma = (u @ matrix @ v.T).squeeze()
        return functional.conv2d(x, self.weight / sigma)


class BigGan(nn.Module):
    def __init__(self):
        super().__init__()
        self.theta, self.phi, self.g = (Normalised(CHANNELS, INNER) for _ in range(3))
        self.o = Normalised(INNER, CHANNELS)
        self.gamma = nn.Parameter(torch.tensor(0.4))

    def forward(self, x):
        phi, g = (functional.max_pool2d(each(x), [2, 2]) for each in (self.phi, self.g))
        y = attend(products(self.theta(x), phi), columns(g))
        return self.gamma * self.o(y.reshape(*x.shape[:1], -1, *x.shape[2:])) + x


class Keras(nn.Module):
    """Pools the flattened keys in pairs."""

    def __init__(self, n, mode):
        super().__init__()
        self.mode = mode
        self.theta, self.phi, self.g = (conv(n, CHANNELS, INNER, bias=False) for _ in range(3))
        self.out = conv(n, INNER, CHANNELS, bias=False)

    def forward(self, x):
        theta, phi, g = (columns(each(x)) for each in (self.theta, self.phi, self.g))
        if self.mode == "dot_product":
            y = by_count(products(theta, phi), g)
        elif self.mode == "gaussian":
            y = attend(products(x, x), g)
        else:
            phi, g = (functional.max_pool1d(each, 2) for each in (phi, g))
            y = attend(products(theta, phi), g)
        return x + self.out(y.reshape(*x.shape[:1], -1, *x.shape[2:]))


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(3)
    torch.set_num_threads(1)


def trained(module):
    """Weights, and statistics of batch norms, away from what they start with."""
    for name, value in {**dict(module.named_parameters()), **dict(module.named_buffers())}.items():
        if not value.is_floating_point():
            continue
        with torch.no_grad():
            if "running_var" in name:
                value.uniform_(0.5, 2)
            elif not name.startswith("gamma"):
                value.normal_(std=0.6)
    return module.eval()


def features(n):
    return torch.randn(2, CHANNELS, *GRIDS[n])


def check(module, x, weights):
    with torch.no_grad():
        expected = module(x).numpy()
        branch = expected - x.numpy()
    result = weights(x.numpy(), channel_axis=1, batch_axis=0)
    assert result.shape == expected.shape
    assert np.abs(result - expected).max() <= 1e-5 * np.abs(branch).max()
    assert np.abs(branch).max() > 0.05  # or else nothing is compared


def saved(module, path, **kwargs):
    torch.save(module.state_dict(), path, **kwargs)
    return path


MODES = ["embedded_gaussian", "dot_product", "concatenation", "gaussian"]


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("sub_sample", [True, False])
def test_alexhex7(tmp_path, n, mode, sub_sample):
    module = trained(AlexHex7(n, mode, sub_sample, norm=n != 2))
    path = saved(module, tmp_path / "net.pth", _use_new_zipfile_serialization=n != 1)
    check(module, features(n), nlmeans.load_weights(path, "alexhex7", pairwise=mode))


def test_alexhex7_in_parallel_and_among_other_layers(tmp_path):
    net = nn.Module()
    net.conv, net.nl_1, net.nl_2 = conv(2, 1, CHANNELS), AlexHex7(2), AlexHex7(2)
    module = trained(nn.DataParallel(net).cpu())
    path = saved(module, tmp_path / "net.pth")
    for name in ("nl_1", "nl_2"):
        weights = nlmeans.load_weights(path, block=name, pairwise="embedded_gaussian")
        check(getattr(net, name), features(2), weights)


def test_tsm(tmp_path):
    module = trained(Tsm(3))
    torch.save({"epoch": 3, "state_dict": module.state_dict()}, tmp_path / "tsm.pth.tar")
    weights = nlmeans.load_weights(tmp_path / "tsm.pth.tar", strict=True, input_range=1)
    assert weights.layout == "tsm"
    check(module, features(3), weights)


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("mode", MODES)
def test_tea1528(tmp_path, n, mode):
    module = trained(Tea1528(n, mode))
    weights = nlmeans.load_weights(saved(module, tmp_path / "a.pt"), pairwise=mode)
    assert weights.layout == "tea1528"
    check(module, features(n), weights)


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("sub_sample", [True, False])
def test_mmcv(tmp_path, n, mode, sub_sample):
    module = trained(Mmcv(n, mode, sub_sample))
    path = saved(module, tmp_path / "a.pth")
    weights = nlmeans.load_weights(path, pairwise=mode)
    assert weights.layout == "mmcv"
    check(module, features(n), weights)


def test_mmaction2_without_scale(tmp_path):
    module = trained(Mmcv(3, use_scale=False))
    path = saved(module, tmp_path / "a.pth")
    check(
        module,
        features(3),
        nlmeans.load_weights(
            path, "mmaction2", pairwise="embedded_gaussian", scale=1, strict=True, input_range=1
        ),
    )


@pytest.mark.parametrize("mode", MODES[:2])
@pytest.mark.parametrize("norm", ["bn", "norm"])
def test_slowfast_and_pytorchvideo(tmp_path, mode, norm):
    module = trained(SlowFast(mode, norm))
    torch.save({"epoch": 1, "model_state": module.state_dict(), "cfg": "A: 1"}, tmp_path / "a.pyth")
    weights = nlmeans.load_weights(
        tmp_path / "a.pyth",
        pairwise=mode,
        pool=(1, 2, 2),
        group_frames=0,
        strict=True,
        input_range=1,
    )
    assert weights.layout == "slowfast"
    check(module, features(3), weights)


@pytest.mark.parametrize("mode", MODES[:2])
def test_video_nonlocal(tmp_path, mode):
    from weights_files import python2_pickle

    module = trained(SlowFast(mode))  # the same operation, in Caffe2's names
    module.bn.eps = 1.0000001e-5
    state = {name: value.numpy() for name, value in module.state_dict().items()}
    names = {"weight": "w", "bias": "b", "running_mean": "rm", "running_var": "riv"}
    blobs = {"lr": np.ones(1, np.float32), "model_iter": np.ones(1)}
    for name, array in state.items():
        part, tensor = name.split(".")
        if tensor in names:
            tail = "s" if (part, tensor) == ("bn", "weight") else names[tensor]
            key = f"nonlocal_conv4_1_{part.removeprefix('conv_')}_{tail}"
            blobs[key] = array
            blobs[f"{key}_momentum"] = np.zeros_like(array)
    (tmp_path / "a.pkl").write_bytes(python2_pickle({"blobs": blobs}))
    weights = nlmeans.load_weights(tmp_path / "a.pkl", pairwise=mode)
    assert (weights.layout, weights.name) == ("video-nonlocal", "nonlocal_conv4_1")
    check(module, features(3), weights)


def test_timm(tmp_path):
    module = trained(Timm())
    weights = nlmeans.load_weights(
        saved(module, tmp_path / "a.bin"), strict=True, scale="C**-0.5", input_range=1
    )
    assert weights.layout == "timm"
    check(module, features(2), weights)


def test_rnan(tmp_path):
    module = trained(Rnan())
    name = "body_nl_low.0.body.0.RA_MB.0.MB_RB1.0"
    state = {f"{name}.{key}": value for key, value in module.state_dict().items()}
    torch.save(state, tmp_path / "a.pt")
    weights = nlmeans.load_weights(tmp_path / "a.pt", strict=True, input_range=1)
    assert (weights.layout, weights.name) == ("rnan", name)
    check(module, features(2), weights)


def test_nlrn(tmp_path):
    module = trained(Nlrn())
    arrays = {}
    for key, value in module.state_dict().items():
        part, tensor = key.split(".")
        array = value.numpy()
        if tensor == "weight":
            array, tensor = array.transpose(2, 3, 1, 0), "kernel"
        arrays[f"rnn/non_local_{part}/{tensor}"] = array
    np.savez(tmp_path / "a.npz", **arrays)
    weights = nlmeans.load_weights(tmp_path / "a.npz", strict=True, input_range=1)
    assert weights.layout == "nlrn"
    check(module, features(2), weights)


def test_sagan(tmp_path):
    module = trained(Sagan())
    weights = nlmeans.load_weights(saved(module, tmp_path / "a.pth"), strict=True, input_range=1)
    assert weights.layout == "sagan"
    check(module, features(2), weights)


@pytest.mark.parametrize("how", ["hook", "parametrization"])
def test_spectral_norm_of_pytorch_is_divided_out(tmp_path, how):
    module = trained(Sagan())
    norm = nn.utils if how == "hook" else nn.utils.parametrizations
    for name in ("query_conv", "key_conv", "value_conv"):
        setattr(module, name, norm.spectral_norm(getattr(module, name)))
    module(features(2))  # a step of the power method
    module.eval()
    check(module, features(2), nlmeans.load_weights(saved(module, tmp_path / "a.pth")))


def test_biggan(tmp_path):
    module = trained(BigGan())
    weights = nlmeans.load_weights(saved(module, tmp_path / "a.pth"), strict=True, input_range=1)
    assert weights.layout == "biggan"
    check(module, features(2), weights)


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("mode", ["embedded_gaussian", "dot_product", "gaussian"])
@pytest.mark.parametrize("version", [2, 3])
def test_keras(tmp_path, n, mode, version):
    from weights_files import keras_file

    h5py = pytest.importorskip("h5py")
    module = trained(Keras(n, mode))
    roles = ("g", "out") if mode == "gaussian" else ("theta", "phi", "g", "out")
    if version == 3 and mode == "embedded_gaussian":
        roles = ("phi", "theta", "g", "out")  # by depth: phi has a pool behind it
    axes = (*range(2, 2 + n), 1, 0)
    kernels = [getattr(module, role).weight.detach().numpy().transpose(axes) for role in roles]
    first = f"conv{n}d"
    layers = {f"{first}_{k}" if k else first: kernel for k, kernel in enumerate(kernels)}
    keras_file(tmp_path / "a.h5", layers, h5py, version)
    weights = nlmeans.load_weights(tmp_path / "a.h5", "keras", pairwise=mode)
    check(module, features(n), weights)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floats_of_pytorch_itself(tmp_path, dtype):
    module = trained(Sagan()).to(dtype)
    path = saved(module, tmp_path / "a.pth")
    weights = nlmeans.load_weights(path)
    assert str(dtype).removeprefix("torch.") in str(weights)
    check(module.float(), features(2), weights)
