"""Learned weights: files of PyTorch, Caffe2, Keras, TensorFlow and our own -> blocks.

path -> tensors -> roles -> layout and options -> block
tensors.py and the readers   roles.py   layouts.py, folding.py, assemble.py   load.py
"""

from nlmeans.weights.errors import WeightsError, WeightsWarning, WeightsWriteError
from nlmeans.weights.load import block_names, load_blocks, load_weights
from nlmeans.weights.loaded import LoadedWeights
from nlmeans.weights.save import save_weights

__all__ = [
    "LoadedWeights",
    "WeightsError",
    "WeightsWarning",
    "WeightsWriteError",
    "block_names",
    "load_blocks",
    "load_weights",
    "save_weights",
]
