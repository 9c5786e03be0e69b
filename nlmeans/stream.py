"""Frames filtered as they come."""

from nlmeans.denoising.frames import denoise_frames as denoise_frames
from nlmeans.denoising.frames import expected_frames_cost as expected_frames_cost
