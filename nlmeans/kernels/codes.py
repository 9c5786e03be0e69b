"""The kernels' numbers for weights of scores, weights of the centre, and what divides sums."""

WEIGHT_EXP, WEIGHT_IDENTITY, WEIGHT_RELU = 0, 1, 2
WEIGHTS = {"exp": WEIGHT_EXP, "identity": WEIGHT_IDENTITY, "relu": WEIGHT_RELU}

# C: the sum of f, the number of keys, or 1; THE_SUM gives the sum of f itself in place of y, for
# exp its logarithm.
BY_SUM, BY_COUNT, BY_ONE, THE_SUM = 0, 1, 2, 3
NORMALISERS = {"sum": BY_SUM, "count": BY_COUNT, "query sum": BY_ONE}

# The weight that a position gives to itself.
CENTRE_AS_COMPUTED, CENTRE_ONE, CENTRE_MAX, CENTRE_ZERO = 0, 1, 2, 3
CENTRES = {
    "as computed": CENTRE_AS_COMPUTED,
    "one": CENTRE_ONE,
    "max": CENTRE_MAX,
    "zero": CENTRE_ZERO,
}
