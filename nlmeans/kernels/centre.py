"""The weight a position gives to itself, as kernels know it."""

CENTRE_AS_COMPUTED, CENTRE_ONE, CENTRE_MAX, CENTRE_ZERO = 0, 1, 2, 3
CENTRES = {
    "as computed": CENTRE_AS_COMPUTED,
    "one": CENTRE_ONE,
    "max": CENTRE_MAX,
    "zero": CENTRE_ZERO,
}
