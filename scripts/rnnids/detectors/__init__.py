"""Detectors: what they must be, the recurrent one, its training and its scores."""
