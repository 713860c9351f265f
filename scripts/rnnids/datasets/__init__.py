"""Data sets: labelled flows as a detector reads them."""
