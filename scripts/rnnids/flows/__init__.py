"""Flows: packets grouped by connection and time-out, and their files."""
