"""Drop-in replacements: other libraries' calls, on the kernels of this one."""

from nlmeans.peers.skimage import denoise_nl_means as denoise_nl_means
