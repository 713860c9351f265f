"""Explanations: which features and packets decide."""
