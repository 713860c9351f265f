"""Pickles of plain data: lists, tuples, dicts, texts, numbers and numpy arrays of numbers, and nothing else.

A pickle is a program, and ``pickle.load`` runs it: it imports what the file names and calls it. Here its operations are
read one by one, and none of them imports or calls anything: the few names by which numpy (1 and 2) describes an array
stand in ``ADMITTED`` and are carried out by this module itself; any other name ends the reading and is said. The items
of a list are handed over one after the other, so that a list larger than memory can be read.
"""

import gzip
import io
import math
import pickletools
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from rnnids.errors import InputError

# Between two items handed over; a thousand flows, as many as Python writes at a time, take a hundredth of it.
MOST_BYTES, MOST_OPERATIONS = 1 << 30, 1 << 20
MOST_REMEMBERED = 1 << 20  # objects that a pickle may refer back to
SHORT = 64  # bytes up to which a text stays known after its item was handed over
NUMBERS = re.compile(r"[fiu][1248]|b1")  # element types of arrays; object arrays hold pickles of their own
MODULES = ("numpy.core", "numpy._core")  # numpy 1 and 2
ADMITTED = {
    **{f"{module}.multiarray._reconstruct": "array" for module in MODULES},
    **{f"{module}.multiarray.scalar": "scalar" for module in MODULES},
    **{f"{module}.numeric._frombuffer": "buffer" for module in MODULES},
    "numpy.ndarray": "ndarray",
    "numpy.dtype": "dtype",
    "_codecs.encode": "bytes",  # how Python 3 writes bytes for Python 2, and no bytes
    "__builtin__.bytes": "empty bytes",
}
LITERAL = re.compile(r"BININT[12]?|LONG[14]|BINFLOAT|(SHORT_)?BIN(UNICODE|BYTES|STRING)8?|BYTEARRAY8")
PUSHED = {code.name for code in pickletools.opcodes if LITERAL.fullmatch(code.name)}
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
EMPTY: dict[str, type] = {"EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_TUPLE": tuple}
FAULTS = (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError, MemoryError, RecursionError)


def read_items(paths: Sequence[Path | str]) -> Iterator[Any]:
    """The items of the list that a pickle holds, one after the other.

    Args:
        paths: the file, or its parts in order, as ``split`` makes them; compressed by gzip or not.

    Raises:
        InputError: absent, damaged, not a list, or anything but plain data.
    """
    with _opened(paths) as (file, name):
        yield from _Reader(file, name, items=True).run()


def read_plain(path: Path | str) -> Any:
    """What a pickle of plain data holds.

    Raises:
        InputError: absent, damaged, or anything but plain data.
    """
    with _opened([path]) as (file, name):
        reader = _Reader(file, name, items=False)
        for _ in reader.run():
            pass
        return reader.result


def called(paths: Sequence[Path | str]) -> str:
    """What messages call a file in parts."""
    return str(paths[0]) + (f" and {len(paths) - 1} more parts" if len(paths) > 1 else "")


@contextmanager
def _opened(paths: Sequence[Path | str]) -> Iterator[tuple[BinaryIO, str]]:
    """Yield the parts as one file, unpacked, and its name; what is wrong with it is an :class:`InputError`."""
    name = called(paths)
    try:
        parts = io.BufferedReader(_Parts(paths), 1 << 20)
        packed = parts.peek(2)[:2] == b"\x1f\x8b"
        yield (gzip.GzipFile(fileobj=parts) if packed else parts), name  # type: ignore[misc]
    except FileNotFoundError as error:
        raise InputError(f"{error.filename}: no such file; get it, or check the path") from error
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{name}: damaged, or parts missing or out of order ({error}); get it again") from error


class _Parts(io.RawIOBase):
    """Files, one after the other, as one."""

    def __init__(self, paths: Sequence[Path | str]) -> None:
        self.left = [Path(path) for path in paths]
        self.file = self.left.pop(0).open("rb")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while True:
            size = self.file.readinto(buffer)
            if size or not self.left:
                return size
            self.file.close()
            self.file = self.left.pop(0).open("rb")

    def close(self) -> None:
        if not self.closed and hasattr(self, "file"):
            self.file.close()
        super().close()


class _Name(str):
    """One of ``ADMITTED``, on the stack."""


class _Unfilled:
    """An array or its type, between REDUCE, which makes it, and BUILD, which says what it is."""

    def __init__(self, value: np.dtype | None = None) -> None:
        self.value: Any = value


MARK = object()  # where the operands of an operation begin


class _Reader:
    """The operations of one pickle; `result` is what it holds, after :meth:`run`."""

    def __init__(self, file: BinaryIO, name: str, *, items: bool) -> None:
        self.file, self.name, self.wanted_items = file, name, items
        self.stack: list[Any] = []
        self.known: dict[int, Any] = {}  # what can be referred back to
        self.fresh: list[int] = []  # those of them since the last item was handed over
        self.count = self.bytes = self.operations = 0
        self.root: list[Any] | None = None
        self.result: Any = None

    def read(self, size: int) -> bytes:
        """Bytes for ``pickletools``; a length that no file of flows has is refused before memory is taken for it."""
        self.bytes += size
        if self.bytes > MOST_BYTES:
            raise InputError(
                f"{self.name}: asks for {self.bytes:,} bytes for one item; not a file of flows, or damaged"
            )
        return self.file.read(size)

    def readline(self) -> bytes:
        """A line, of the names in old pickles."""
        self.bytes += 1
        return self.file.readline(1000)

    def run(self) -> Iterator[Any]:
        """Carry the operations out; items of the outermost list are handed over as they are complete."""
        try:
            for operation, argument, _ in pickletools.genops(self):  # type: ignore[arg-type]
                self.operations += 1
                if self.operations > MOST_OPERATIONS or len(self.known) > MOST_REMEMBERED:
                    raise InputError(f"{self.name}: too much in one item; not a file of flows, or damaged")
                self._carry_out(operation.name, argument)
                if self.root:
                    yield from self._hand_over()
        except FAULTS as error:
            raise InputError(f"{self.name}: not a pickle of plain data, or damaged ({error}); get it again") from error

    def _hand_over(self) -> Iterator[Any]:
        """The items of the outermost list; what only they refer to is forgotten."""
        root = self.root or []
        items = [_value(item) for item in root]
        root.clear()
        for place in self.fresh:
            if not _stays_known(self.known.get(place)):
                self.known.pop(place, None)
        self.fresh, self.bytes, self.operations = [], 0, 0
        yield from items

    def _carry_out(self, name: str, argument: Any) -> None:
        if name in PUSHED:
            self.stack.append(argument)
        elif name == "MARK":
            self.stack.append(MARK)
        elif name in ("PROTO", "FRAME"):
            pass  # the format's version; how far to read ahead
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            self._tuple_of(int(name[-1]))
        elif name in CONSTANTS:
            self.stack.append(CONSTANTS[name])
        elif name in EMPTY:
            self.stack.append(EMPTY[name]())
            if name == "EMPTY_LIST" and self.wanted_items and self.root is None and len(self.stack) == 1:
                self.root = self.stack[0]
        else:
            method = getattr(self, f"_{name.lower()}", None)
            if method is None:
                raise self._refused(f"the operation {name}")
            method(argument)

    def _refused(self, what: str) -> InputError:
        return InputError(
            f"{self.name}: holds {what}, which plain data do not need and which could run a program; refused. Get the"
            " file from where it was published"
        )

    def _pop_to_mark(self) -> list[Any]:
        place = len(self.stack) - 1
        while self.stack[place] is not MARK:
            place -= 1
            if place < 0:
                raise ValueError("no mark")
        found = self.stack[place + 1 :]
        del self.stack[place:]
        return [_value(item) for item in found]

    def _stop(self, argument: None) -> None:
        (self.result,) = map(_value, self.stack)
        if self.wanted_items and (self.root is None or self.result is not self.root):
            raise InputError(f"{self.name}: holds no list; give the list of flows")
        if self.file.read(1):  # reading on also compares the checksum of gzip
            raise ValueError("there is more behind its end")

    def _append(self, argument: None) -> None:
        self.stack.insert(-1, MARK)
        self._appends(argument)

    def _appends(self, argument: None) -> None:
        items = self._pop_to_mark()
        self._top(list).extend(items)

    def _setitem(self, argument: None) -> None:
        self.stack.insert(-2, MARK)
        self._setitems(argument)

    def _setitems(self, argument: None) -> None:
        pairs = self._pop_to_mark()
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            if type(key) not in (str, int, float, bool):  # deep tuples would exhaust the stack of C when hashed
                raise TypeError(f"a key of type {type(key).__name__}")
            self._top(dict)[key] = value

    def _top(self, kind: type) -> Any:
        if type(self.stack[-1]) is not kind:
            raise TypeError(f"no {kind.__name__}")
        return self.stack[-1]

    def _tuple(self, argument: None) -> None:
        self.stack.append(tuple(self._pop_to_mark()))

    def _tuple_of(self, size: int) -> None:
        if len(self.stack) < size:
            raise IndexError("too little on the stack")
        items = tuple(_value(item) for item in self.stack[-size:])
        self.stack[-size:] = [items]

    def _binput(self, argument: int) -> None:
        self.known[argument] = self.stack[-1]
        self.fresh.append(argument)
        self.count += 1

    _long_binput = _binput

    def _memoize(self, argument: None) -> None:
        self._binput(self.count)

    def _binget(self, argument: int) -> None:
        if argument not in self.known:
            raise ValueError("it refers back to an item before")
        self.stack.append(self.known[argument])

    _long_binget = _binget

    def _global(self, argument: str) -> None:
        self._admit(*argument.split(" ", 1))

    def _stack_global(self, argument: None) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self._admit(str(module), str(name))

    def _admit(self, module: str, name: str) -> None:
        if f"{module}.{name}" not in ADMITTED:
            raise self._refused(f"the name {module}.{name}"[:200])
        self.stack.append(_Name(ADMITTED[f"{module}.{name}"]))

    def _reduce(self, argument: None) -> None:
        values, name = self.stack.pop(), self.stack.pop()
        if type(name) is not _Name or type(values) is not tuple:
            raise self._refused(f"a call of something of type {type(name).__name__}")
        if name == "array":
            if type(values[0]) is not _Name or values[0] != "ndarray":
                raise self._refused("an array of a class of its own")
            self.stack.append(_Unfilled())
        elif name == "dtype":
            self.stack.append(_Unfilled(self._element(values[0])))
        elif name == "scalar":
            self.stack.append(_array(values[1], values[0], (1,))[0].item())
        elif name == "buffer":
            self.stack.append(_array(values[0], values[1], values[2], order=values[3]))
        elif name == "bytes" and values[1] == "latin1":
            self.stack.append(values[0].encode("latin-1"))
        elif name == "empty bytes" and not values:
            self.stack.append(b"")
        else:
            raise self._refused(f"a call of {name}")

    def _element(self, code: Any) -> np.dtype:
        if type(code) is not str or not NUMBERS.fullmatch(code):
            shown = code if type(code) is str else type(code).__name__
            raise self._refused(f"an array of elements {shown!r:.40} and not of numbers")
        return np.dtype(code)

    def _build(self, argument: None) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if not isinstance(target, _Unfilled) or type(state) is not tuple:
            raise self._refused(f"a state for something of type {type(target).__name__}")
        if isinstance(target.value, np.dtype):
            if any(part is not None for part in state[2:5]) or len(state) > 8:
                raise self._refused("an array of structures")
            target.value = target.value.newbyteorder(state[1]) if state[1] in ("<", ">") else target.value
        elif target.value is None:
            _, shape, element, columns_first, data = state
            target.value = _array(data, element, shape, order="F" if columns_first else "C")
        else:
            raise ValueError("an array is filled twice")
        self.stack[-1] = target.value


def _value(item: Any) -> Any:
    """An item of the stack as it goes into others."""
    return item.value if isinstance(item, _Unfilled) and item.value is not None else item


def _array(data: Any, element: Any, shape: Any, *, order: Any = "C") -> np.ndarray:
    """An array of its bytes, which have just the length that its shape needs."""
    data = data.encode("latin-1") if type(data) is str else data  # as Python 2 wrote it
    if not isinstance(element, np.dtype) or type(data) not in (bytes, bytearray) or type(shape) is not tuple:
        raise TypeError("an array of something else than bytes")
    if any(type(size) is not int or size < 0 for size in shape) or order not in ("C", "F"):
        raise ValueError(f"an array of shape {shape!s:.40}")
    if math.prod(shape) * element.itemsize != len(data):
        raise ValueError(f"an array of shape {shape!s:.40} with {len(data)} bytes")
    return np.frombuffer(data, element).reshape(shape, order=order)


def _stays_known(item: Any) -> bool:
    """Whether later items may refer to it: names, element types, numbers and short texts."""
    if isinstance(item, (str, bytes)):
        return len(item) <= SHORT
    return isinstance(_value(item), (int, float, np.dtype))
