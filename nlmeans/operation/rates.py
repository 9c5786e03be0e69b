"""How fast this code runs: what estimates of time are made of.

Measured on one core with 512-bit vectors (AMD EPYC, Zen 4, a shared host), on arrays of 0.1 to 0.3
million numbers; older cores can take four times as long.
"""

# Operations a second on one thread, in float32; in float64 about half as many.
KERNELS = {
    "window": 4e10, "rowwise": 5e10, "stream": 8e10, "linear": 5e10, "sorted": 1e9,
    "neighbourhood": 3e10, "neighbours": 2.5e9, "reference": 1e7,
}  # fmt: skip
