"""Attacks under the constraints of real traffic, and the robustness score."""
