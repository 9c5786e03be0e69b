"""The weight of a score and what divides sums of weights, as kernels know them."""

WEIGHT_EXP, WEIGHT_IDENTITY, WEIGHT_RELU = 0, 1, 2
WEIGHTS = {"exp": WEIGHT_EXP, "identity": WEIGHT_IDENTITY, "relu": WEIGHT_RELU}

# C: the sum of f, the number of keys, or 1; THE_SUM gives the sum of f itself in place of y, for
# exp its logarithm.
BY_SUM, BY_COUNT, BY_ONE, THE_SUM = 0, 1, 2, 3
NORMALISERS = {"sum": BY_SUM, "count": BY_COUNT, "query sum": BY_ONE}
