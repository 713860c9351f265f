"""Files of tensors and a text (safetensors), of which no wrong bit goes unseen.

safetensors checks where tensors lie, not what they hold: half of all flipped bits load without a word. So a digest of
every tensor and text stands in the metadata, and numbers that are not finite are refused.
"""

import hashlib
import json
from collections.abc import Collection, Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from rnnids.cli import log
from rnnids.storage import atomic_path

DIGEST = "sha256"
FAULTS = (OSError, KeyError, TypeError, ValueError, RuntimeError, safetensors.SafetensorError)  # of a damaged file


def write_tensors(path: str | Path, tensors: Mapping[str, Tensor], texts: Mapping[str, str]) -> None:
    """Write `tensors` and `texts`, both by name, with their digest."""
    own = {name: value.detach().contiguous().cpu().clone() for name, value in tensors.items()}  # none share memory
    content = safetensors.torch.save(own, metadata={**texts, DIGEST: digest_of(own, texts)})
    with atomic_path(path) as temporary:
        temporary.write_bytes(_in_order(content))


def _in_order(content: bytes) -> bytes:
    """A file of tensors with its names in order: safetensors writes texts in an order that changes from run to run."""
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(content[8:end]), sort_keys=True).encode()
    header += b" " * (-len(header) % 8)  # tensors begin at a multiple of 8 bytes
    return len(header).to_bytes(8, "little") + header + content[end:]


def read_tensors(path: str | Path, names: Collection[str]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """(tensors, texts) of a file; its texts have just these `names`.

    Raises:
        ValueError, and the others of ``FAULTS``: absent, of another kind, damaged, or numbers that are not finite.
    """
    tensors, texts = load_unchecked(path)
    digest = texts.pop(DIGEST, None)
    if texts.keys() != set(names):  # the name of the digest might be what is damaged
        raise ValueError(f"it holds {', '.join(sorted(texts)) or 'no text'} and not {', '.join(sorted(names))}")
    if digest is None:
        log.warning("warning: %s: of an earlier version, without a digest: damage would not be seen", path)
    elif digest != digest_of(tensors, texts):
        raise ValueError("its digest does not fit what it holds")
    check_finite(tensors)
    return tensors, texts


def load_unchecked(path: str | Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """(tensors, texts) of any file of safetensors; raises one of ``FAULTS`` where it cannot be read."""
    with safetensors.safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        return tensors, dict(file.metadata() or {})


def check_finite(tensors: Mapping[str, Tensor]) -> None:
    """Raise ValueError where one of the tensors holds an infinite number or none."""
    for name, value in sorted(tensors.items()):
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise ValueError(f"{name} holds numbers that are not finite")


def digest_of(tensors: Mapping[str, Tensor], texts: Mapping[str, str]) -> str:
    """SHA-256, as hex, of named tensors on the CPU and named texts, whatever their order."""
    digest = hashlib.sha256(json.dumps(dict(texts), sort_keys=True).encode())
    for name, value in sorted(tensors.items()):
        digest.update(json.dumps([name, str(value.dtype), list(value.shape)]).encode())
        digest.update(value.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
