"""Adversarial robustness and explanation of recurrent intrusion detectors.

The library beside the scripts: nothing has to be installed, `python scripts/x.py` finds it.
Modules import only the ones listed above them in ``tests/test_layers.py``.
"""

__version__ = "0.1.0"
