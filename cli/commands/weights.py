"""nlmeans weights: the group of commands on files of learned weights."""

import click
from nlmeans.cli.commands.weights_convert import convert
from nlmeans.cli.commands.weights_from_image import from_image
from nlmeans.cli.commands.weights_show import show


@click.group(
    epilog="""\b
Examples:
  nlmeans weights show net.pth
  nlmeans weights convert net.pth nl1.safetensors --block nl_1
  nlmeans weights from-image photo.png photo.safetensors"""
)
def weights() -> None:
    """Learned theta, phi, g and W_z: what a file holds, and in the project's own format.

    Files of PyTorch, Caffe2, Keras, TensorFlow (as npz) and MATLAB are read; nothing in them is
    ever executed.
    """


for command in (show, convert, from_image):
    weights.add_command(command)
