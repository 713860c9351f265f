"""What a detector was computed on: equal seeds give equal weights on equal machines only.

Matrix products are summed in another order on another processor, with another library or number of threads; training
makes much of the last bits (docs/reliability.md has how much).
"""

import os
import platform
from pathlib import Path

import numpy as np
import torch

# Environment variables by which libraries choose instructions and numbers of threads.
VARIABLES = ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "MKL_CBWR", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
DRIVER = Path("/proc/driver/nvidia/version")


def computing_environment(device: torch.device | str = "cpu") -> dict[str, str]:
    """Processor, libraries, threads and, where `device` is one, GPU, as {name: words}."""
    found = {
        "processor": _processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "threads": str(torch.get_num_threads()),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "mkl": str(torch.backends.mkl.is_available()),
        "onednn": str(torch.backends.mkldnn.is_available()),
    }
    found |= {name: os.environ[name] for name in VARIABLES if name in os.environ}
    if torch.device(device).type == "cuda":
        found |= {
            "gpu": torch.cuda.get_device_name(device),
            "cuda": str(torch.version.cuda),
            "cudnn": str(torch.backends.cudnn.version()),
            "driver": _first_line(DRIVER),
        }
    return found


def _processor() -> str:
    """The processor's model where Linux names it, else its kind."""
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _first_line(path: Path) -> str:
    try:
        return path.read_text(errors="replace").splitlines()[0]
    except (OSError, IndexError):
        return "unknown"
