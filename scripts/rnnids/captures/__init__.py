"""Captures: bytes to packets."""
