"""Label files with one row per flow or per attack: reading them, whatever program wrote them."""

import codecs
import ipaddress
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from rnnids.cli import log
from rnnids.errors import InputError
from rnnids.labels.joins import ICMP, endpoints
from rnnids.labels.rules import PROTOCOLS, delimiter_of

MATCHABLE = tuple(PROTOCOLS.values())  # what flows can have
REMEDY = "save it as CSV in UTF-8 with commas"
BETWEEN_CELLS = re.compile(r"\t| {3,}")


@dataclass(frozen=True)
class LabelGroup:
    """The rows of one attack type of a label file: where several match a flow, the last group wins.

    Attributes:
        line: of the first row. rows: how many there are.
        start_ns, end_ns: from the first of their starts to the last of their ends; ns since 1970 UTC.
        attack, category: names.
        source, destination: empty; rules have networks here.
    """

    line: int
    rows: int
    start_ns: int
    end_ns: int
    attack: str
    category: str
    source: str = ""
    destination: str = ""


@dataclass(frozen=True)
class LabelRows:
    """M rows of a label file that can match flows.

    Attributes:
        columns: (M,) columns named as those of flow files: start_ns, end_ns (before any tolerance),
            source_address, destination_address, source_port, destination_port, protocol.
        group: (M,) index into `groups`.
        groups: list of LabelGroup.
        skipped: {reason: rows} of the rows left out.
    """

    columns: Mapping[str, np.ndarray]
    group: np.ndarray
    groups: Sequence[LabelGroup]
    skipped: Mapping[str, int]


def read_table(path: Path | str, columns: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """Read some columns of a table as strings without surrounding blanks.

    Commas, semicolons or tabs stand between cells; Zeek's logs (``#fields``, or a JSON object a line) are read too.
    Headings are compared without regard to case, blanks and punctuation. Text that is not UTF-8 is taken for
    Windows-1252, as office programs write it. Cells beyond the headings are ignored.

    Args:
        columns: {name: headings under which the column is found, the first that there is}.

    Returns:
        data frame with columns named so, its index being the line in the file (quoted line breaks aside).

    Raises:
        InputError: no such file, UTF-16, a column missing or there twice, no rows.
    """
    start = _refuse_other_encodings(path)
    known = {_plain(heading) for headings in columns.values() for heading in headings}
    read = _read_zeek if start.lstrip().startswith((b"#separator", b"#fields", b"{")) else _read_csv
    try:
        frame = read(path, known, "utf-8-sig")
    except UnicodeDecodeError:
        log.warning("warning: %s: not UTF-8; read as Windows-1252", path)
        frame = read(path, known, "cp1252")
    found = {
        name: next((_plain(heading) for heading in headings if _plain(heading) in frame), None)
        for name, headings in columns.items()
    }
    missing = [columns[name][0] for name, heading in found.items() if heading is None]
    if missing:
        names = ", ".join(headings[0] for headings in columns.values())
        raise InputError(f"{path}:1: missing column {', '.join(missing)}; {REMEDY} and the columns {names}")
    if twice := [columns[name][0] for name, heading in found.items() if frame[[heading]].shape[1] > 1]:
        raise InputError(f"{path}:1: more than one column {', '.join(twice)}, blanks and case aside; leave one of each")
    if frame.empty:
        raise InputError(f"{path}: no rows below the headings; is the file whole?")
    chosen = pd.DataFrame({name: frame[heading] for name, heading in found.items()})
    return chosen.fillna("").apply(lambda column: column.str.strip())


def _refuse_other_encodings(path: Path | str) -> bytes:
    """The first bytes of a file, unless they are of no text that is read."""
    try:
        with open(path, "rb") as file:
            start = file.read(1024)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    if b"\0" in start:
        raise InputError(f"{path}:1: text in UTF-16, or no text at all; {REMEDY}")
    return start.removeprefix(codecs.BOM_UTF8)


def _read_csv(path: Path | str, known: Collection[str], encoding: str) -> pd.DataFrame:
    errors = "strict" if encoding == "utf-8-sig" else "replace"
    with open(path, encoding=encoding, errors=errors) as file:
        header = file.readline()
    try:
        frame = pd.read_csv(
            path,
            sep=delimiter_of(header),
            dtype=str,
            encoding=encoding,
            encoding_errors=errors,
            keep_default_na=False,
            index_col=False,
            skip_blank_lines=False,
            usecols=lambda name: _plain(name) in known,
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise InputError(f"{path}: not a CSV file ({str(error).strip()}); {REMEDY}") from error
    frame.index += 2
    return frame.rename(columns=_plain)


def _read_zeek(path: Path | str, known: Collection[str], encoding: str) -> pd.DataFrame:
    """A log of Zeek, of tab-separated values or of JSON; label columns that were added behind three blanks too."""
    rows, lines, names = [], [], list[str]()
    with open(path, encoding=encoding, errors="strict" if encoding == "utf-8-sig" else "replace") as file:
        for number, line in enumerate(file, 1):
            if line.startswith("#fields"):
                names = [_plain(name) for name in BETWEEN_CELLS.split(line.rstrip("\n"))[1:]]
            if not line.strip() or line.startswith("#"):
                continue
            rows.append(_zeek_row(path, line, number=number, names=names))
            lines.append(number)
    frame = pd.DataFrame(rows, index=pd.Index(lines), dtype=str)
    return frame[[name for name in frame if name in known]]


def _zeek_row(path: Path | str, line: str, *, number: int, names: Sequence[str]) -> dict[str, str]:
    if not line.lstrip().startswith("{"):
        return dict(zip(names, BETWEEN_CELLS.split(line.rstrip("\n")), strict=False))
    try:
        values = json.loads(line, parse_float=str)  # a float would round times
    except json.JSONDecodeError as error:
        raise InputError(f"{path}:{number}: not JSON ({error}); give one object a line") from error
    return {_plain(name): "" if value is None else str(value) for name, value in values.items()}


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


def parse_addresses(texts: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """((N, 16) uint8 as in flow files, (N,) bool: it is an address) of a column of strings."""
    codes, values = pd.factorize(texts)
    packed = np.zeros((len(values) + 1, 16), dtype=np.uint8)
    valid = np.zeros(len(values) + 1, dtype=bool)
    for row, text in enumerate(values):
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            continue
        mapped = bytes(10) + b"\xff\xff" if address.version == 4 else b""
        packed[row], valid[row] = np.frombuffer(mapped + address.packed, dtype=np.uint8), True
    return packed[codes], valid[codes]


def parse_numbers(texts: pd.Series, lowest: int, highest: int) -> tuple[np.ndarray, np.ndarray]:
    """((N,) int64, (N,) bool: it is a whole number in the range) of a column of strings."""
    numbers = pd.to_numeric(texts, errors="coerce").to_numpy(dtype=np.float64)
    valid = (numbers >= lowest) & (numbers <= highest) & (numbers == np.floor(numbers))
    return np.where(valid, numbers, 0).astype(np.int64), valid


def parse_protocols(texts: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """((N,) uint8, (N,) bool: it is one that flows can have) of a column of names or numbers."""
    numbers, numeric = parse_numbers(texts, 0, 255)
    named = texts.str.lower().map(PROTOCOLS | {"ipv6-icmp": PROTOCOLS["icmpv6"]}).fillna(0).to_numpy(dtype=np.int64)
    protocol = np.where(numeric, numbers, named)
    return protocol.astype(np.uint8), np.isin(protocol, MATCHABLE)


def parse_ends(frame: pd.DataFrame) -> tuple[dict[str, np.ndarray], list[tuple[str, np.ndarray]]]:
    """The 5-tuples of a table with columns protocol, source_address and so on, as strings.

    Returns:
        ({name: (N,) column}, [(reason, (N,) bool: left out for it)]), the first reason of a row counting.
    """
    protocol, known = parse_protocols(frame["protocol"])
    columns, faults = {"protocol": protocol}, [("protocol of no flow", ~known)]
    has_ports = ~np.isin(columns["protocol"], ICMP)
    for end in ("source", "destination"):
        columns[f"{end}_address"], valid = parse_addresses(frame[f"{end}_address"])
        faults.append(("no address", ~valid))
        port, valid = parse_numbers(frame[f"{end}_port"], 0, 65535)
        columns[f"{end}_port"] = port.astype(np.uint16)
        faults.append(("no port", ~valid & has_ports))
    return columns, faults


def keep_rows(
    columns: Mapping[str, np.ndarray], faults: Sequence[tuple[str, np.ndarray]]
) -> tuple[np.ndarray, dict[str, int]]:
    """(rows to keep, {reason: rows left out}): each row is left out for its first fault."""
    kept, skipped = np.ones(len(columns["protocol"]), dtype=bool), dict[str, int]()
    for reason, bad in faults:
        count = int(np.count_nonzero(kept & bad))
        if count:
            skipped[reason] = skipped.get(reason, 0) + count
        kept &= ~bad
    return np.flatnonzero(kept), skipped


def describe(skipped: Mapping[str, int]) -> str:
    """{reason: rows} in words."""
    return ", ".join(f"{reason}: {count:,}" for reason, count in skipped.items())


def tuple_columns(columns: Mapping[str, np.ndarray], swapped: bool = False) -> list[np.ndarray]:
    """The 5-tuple with direction as a list of columns; ICMP, which has no ports, with ports 0."""
    ends = endpoints(columns)
    has_ports = ~np.isin(columns["protocol"], ICMP)
    order = ("destination", "source") if swapped else ("source", "destination")
    parts = [(ends[end][0][:, 0], ends[end][0][:, 1], np.where(has_ports, ends[end][1], 0)) for end in order]
    return [*parts[0], *parts[1], columns["protocol"]]
