"""Mutants of files: changes that know where records, headers and lengths of a capture lie; of bytes; of lines."""

import struct

import numpy as np

ODD = (0, 1, 2, 3, 4, 7, 8, 15, 16, 19, 20, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0xFFFF, 0x40000, 0x7FFFFFFF, 0xFFFFFFFF)
ETHERTYPES = (0x0800, 0x86DD, 0x8100, 0x88A8, 0x9100, 0x8847, 0x8848, 0x8864, 0x0806, 0x05DC, 0x0000, 0x88E7, 0x893F)
PROTOCOLS = (0, 1, 6, 17, 43, 44, 47, 50, 51, 58, 60, 132, 135, 139, 140, 4, 41)
LINKS = (0, 1, 9, 12, 14, 50, 101, 104, 105, 108, 113, 127, 192, 226, 228, 229, 239, 242, 258, 276, 147, 0xFFFF)
WORDS = (
    "",
    "nan",
    "inf",
    "-1",
    "1e999",
    "99999999999999999999",
    "\0",
    "é",
    "\ufeff",
    '"',
    ",",
    "=1+1",
    "::1",
    "a" * 5000,
)


def records(content):
    """(offset of the record's header, offset of its frame, its bytes) of a little-endian pcap file."""
    found, at = [], 24
    while at + 16 <= len(content):
        (captured,) = struct.unpack_from("<I", content, at + 8)
        if at + 16 + captured > len(content):
            break
        found.append((at, at + 16, captured))
        at += 16 + captured
    return found


def _put(content, at, value, size, order):
    size = int(size)
    if 0 <= at <= len(content) - size:
        content[at : at + size] = (int(value) & (1 << 8 * size) - 1).to_bytes(size, order)


def change_record(rng, content):
    """Change a field of a record of a pcap file, of its frame's link layer, IP header or transport header."""
    found = records(content)
    if not found:
        return
    header, frame, size = found[rng.integers(len(found))]
    odd = int(rng.choice(ODD)) if rng.random() < 0.7 else size + int(rng.integers(-3, 4))
    field = rng.integers(14)
    network = frame + 14
    fields = {
        0: lambda: _put(content, header + 8, odd, 4, "little"),  # captured length
        1: lambda: _put(content, header + 12, odd, 4, "little"),  # original length
        2: lambda: _put(content, header, odd, 4, "little"),  # seconds
        3: lambda: _put(content, header + 4, odd, 4, "little"),  # fraction
        4: lambda: _put(content, 20, rng.choice(LINKS), 4, "little"),
        5: lambda: _put(content, frame + 12, rng.choice(ETHERTYPES), 2, "big"),
        6: lambda: _put(content, network, rng.integers(256), 1, "big"),  # version and header length
        7: lambda: _put(content, network + 2, odd, 2, "big"),  # total length
        8: lambda: _put(content, network + 4, odd, 2, "big"),  # IPv6: payload length
        9: lambda: _put(content, network + rng.choice([6, 9, 40, 48, 56]), rng.choice(PROTOCOLS), 1, "big"),
        10: lambda: _put(content, network + 6, rng.choice([0x2000, 0x1FFF, 0x4000, 1]), 2, "big"),  # fragments
        11: lambda: _put(content, network + rng.choice([32, 52]), rng.integers(256), 1, "big"),  # data offset
        12: lambda: _put(content, network + rng.choice([41, 49]), rng.integers(256), 1, "big"),  # of an extension
        13: lambda: content.__delitem__(slice(frame, frame + int(rng.integers(1, size + 2)))),
    }
    fields[int(field)]()


def blocks(content):
    """(offset, length) of the blocks of a little-endian pcapng file."""
    found, at = [], 0
    while at + 12 <= len(content):
        (length,) = struct.unpack_from("<I", content, at + 4)
        if length < 12 or at + length > len(content):
            break
        found.append((at, length))
        at += length
    return found


def change_block(rng, content):
    """Change a field of a block of a pcapng file, or the order of blocks."""
    found = blocks(content)
    if not found:
        return
    at, length = found[rng.integers(len(found))]
    odd = int(rng.choice(ODD)) if rng.random() < 0.6 else length + int(rng.integers(-8, 9))
    kind = rng.integers(6)
    if kind == 0:
        _put(content, at, rng.choice([0x0A0D0D0A, 1, 2, 3, 4, 5, 6, 0xBAD, 0x80000001]), 4, "little")
    elif kind == 1:  # both lengths
        _put(content, at + 4, odd, 4, "little")
        _put(content, at + max(odd, 12) - 4, odd, 4, "little")
    elif kind == 2:
        _put(content, at + length - 4, odd, 4, "little")
    elif kind == 3:  # interface, link type, times, lengths, options
        _put(content, at + 4 * int(rng.integers(2, 8)), odd, rng.choice([1, 2, 4]), "little")
    elif kind == 4:
        content[at:at] = content[at : at + length]
    else:
        del content[at : at + length]


def change_bytes(rng, content):
    """Change, cut, repeat or take out some bytes anywhere."""
    if not content:
        content += bytes(rng.integers(0, 256, 8, dtype=np.uint8))
        return
    at, kind = int(rng.integers(len(content))), rng.integers(6)
    if kind == 0:
        content[at] ^= 1 << int(rng.integers(8))
    elif kind == 1:
        _put(content, at, rng.choice(ODD), int(rng.choice([1, 2, 4, 8])), str(rng.choice(["big", "little"])))
    elif kind == 2:
        del content[at:]
    elif kind == 3:
        del content[at : at + int(rng.integers(1, 64))]
    elif kind == 4:
        content[at:at] = content[at : at + int(rng.integers(1, 64))]
    else:
        size = min(len(content) - at, int(rng.integers(1, 16)))
        content[at : at + size] = rng.integers(0, 256, size, dtype=np.uint8).tobytes()


def change_text(rng, content):
    """Change a cell, a line or a byte of a text."""
    lines = bytes(content).split(b"\n")
    row, kind = int(rng.integers(len(lines))), rng.integers(5)
    if kind == 0:
        cells = lines[row].split(b",")
        cells[rng.integers(len(cells))] = str(rng.choice(WORDS)).encode()
        lines[row] = b",".join(cells)
    elif kind == 1:
        lines.insert(int(rng.integers(len(lines))), lines[row])
    elif kind == 2:
        del lines[row]
    elif kind == 3:
        lines[row] = lines[row][::-1]
    else:
        change_bytes(rng, content)
        return
    content[:] = b"\n".join(lines)


def mutant(rng, seed, changes):
    """`seed` (bytes) with one to four of `changes`, functions of (rng, bytearray)."""
    content = bytearray(seed)
    for _ in range(int(rng.integers(1, 5))):
        changes[rng.integers(len(changes))](rng, content)
    return bytes(content)
