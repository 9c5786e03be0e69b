from .denoise import denoise_points as denoise_points
from .denoise import estimate_points_sigma as estimate_points_sigma
from .denoise import expected_points_cost as expected_points_cost
