"""What every script shares: exit codes, logging and progress."""

import argparse
import logging
import math
import shlex
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from rnnids.errors import InputError, shortage
from rnnids.settings import NONE

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

    from tqdm import tqdm

Number = TypeVar("Number", int, float)
log = logging.getLogger("rnnids")
SOON = 0.01  # seconds
CALL_BACK = ("llvmlite", "weakref")  # modules of which C calls functions and passes no exception on
PLAIN_INTERVAL = 10.0  # seconds between progress lines in a log file


class HelpFormatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Keeps the paragraphs of a script's docstring in its ``--help``, and names defaults where there are any."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.required:
            return action.help
        if action.default is None or action.default == () or action.default == []:
            return f"{action.help} (default: {NONE})"
        return super()._get_help_string(action)


def parser(description: str | None) -> argparse.ArgumentParser:
    """An argument parser in the house style: the script's docstring is its help."""
    return argparse.ArgumentParser(description=description, formatter_class=HelpFormatter)


def positive(kind: Callable[[str], Number]) -> Callable[[str], Number]:
    """An argparse type: `kind` (int or float), above 0 and finite."""

    def convert(text: str) -> Number:
        value = kind(text)
        if not 0 < value < math.inf:
            raise argparse.ArgumentTypeError(f"{text} is not above 0 and finite")
        return value

    convert.__name__ = f"positive {kind.__name__}"
    return convert


def optional(text: str) -> str | None:
    """An argparse type: a text, or None where it is "none", as settings have it."""
    return None if text == NONE else text


def run(main: Callable[[], None]) -> None:
    """Call `main` as a program: exit 0 on success, 2 on bad input or no room, 130 on Ctrl-C.

    The last line of its log says how long it took and what it was asked for.

    Only :class:`InputError` and what :func:`rnnids.errors.shortage` knows is printed without a traceback: anything
    else is our mistake and its traceback is what a bug report needs.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr)
    if not sys.stderr.isatty():  # where the log is on the screen already
        said = logging.StreamHandler(sys.stdout)
        said.addFilter(lambda record: getattr(record, "told", False))
        log.addHandler(said)
    asked = raise_signals()
    start = time.monotonic()
    try:
        main()
        command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
        log.info("done in %s: %s", duration(time.monotonic() - start), command)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if asked:  # a library put an error of its own in the place of the interruption
            sys.exit(128 + asked[0])
        print(f"error: {_in_words(error)}", file=sys.stderr)
        sys.exit(2)


def _in_words(error: Exception) -> str:
    """What to say of bad input or of no room; raises anything else again."""
    if isinstance(error, InputError):
        return str(error)
    if not (lacking := shortage(error)):
        raise error
    name = getattr(error, "filename", None)
    return f"{name}: {lacking}" if name else lacking


def tell(text: str, *values: object) -> None:
    """Log a line about progress or outcome that a person waits for; `text` and `values` as of :func:`logging.info`.

    A program says it on standard output too: a workflow keeps logs in files and shows the rest.
    """
    log.info(text, *values, extra={"told": True})


def training_of(weights: Path | str) -> str:
    """What to call the training that made some weights: `baseline`, or `baseline, seed 1` in a folder seed_1."""
    folder = Path(weights).absolute().parent
    prefix, _, seed = folder.name.rpartition("seed_")
    return f"{folder.parent.name}, seed {seed}" if seed.isdigit() and not prefix else folder.name


def duration(seconds: float) -> str:
    """A time in words: 8 s, 1 min 40 s, 2 h 5 min."""
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def left(begun: float, done: int, total: int) -> str:
    """How long the rest of some work takes at its pace so far; `begun` by the clock of :func:`time.monotonic`."""
    return f"{duration((time.monotonic() - begun) / done * (total - done))} left"


def raise_signals() -> list[int]:
    """Let SIGTERM, with which SLURM and Snakemake end jobs, and Ctrl-C raise an exception, which lets half-written
    files go; where it would be lost, or crash what called, a moment later.

    Returns:
        where the last of these signals is entered once it has come.
    """
    asked: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        if number != signal.SIGALRM:
            asked[:] = [number]
        if is_lost_in(frame):
            signal.setitimer(signal.ITIMER_REAL, SOON)
        elif asked[0] == signal.SIGINT:
            raise KeyboardInterrupt
        else:
            sys.exit(143)

    def ignored(what: "UnraisableHookArgs") -> None:
        if asked and what.exc_type in (KeyboardInterrupt, SystemExit):
            signal.setitimer(signal.ITIMER_REAL, SOON)
        elif lacking := shortage(what.exc_value):  # no place for a traceback: what called goes on, or says the same
            print(f"in passing: {lacking}", file=sys.stderr)
        else:
            sys.__unraisablehook__(what)

    signal.signal(signal.SIGALRM, stop)
    signal.signal(signal.SIGTERM, stop)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else it is ignored, as by nohup
        signal.signal(signal.SIGINT, stop)
    sys.unraisablehook = ignored
    return asked


def is_lost_in(frame: FrameType | None) -> bool:
    """Whether an exception that is raised here never comes back to the program: a library in C has called this."""
    while frame is not None:
        module, name = frame.f_globals.get("__name__", ""), frame.f_code.co_qualname
        if module.partition(".")[0] in CALL_BACK or name.startswith("HDF5Target.") or name.endswith("__del__"):
            return True
        frame = frame.f_back
    return False


class Progress:
    """A bar on a terminal, a plain line every ten seconds in a log.

    >>> with Progress("reading", total=100, unit="packets") as progress:
    ...     progress.update(40)
    """

    def __init__(self, label: str, total: int | None = None, unit: str = "steps") -> None:
        self.label, self.total, self.unit = label, total, unit
        self.done = 0
        self.bar: tqdm | None = None
        self.begun = self.last = time.monotonic()

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from tqdm import tqdm  # only a person at a terminal needs it

            self.bar = tqdm(desc=self.label, total=self.total, unit=f" {self.unit}", unit_scale=True)
        return self

    def update(self, steps: int = 1) -> None:
        """Report `steps` more units of work."""
        self.done += steps
        if self.bar is not None:
            self.bar.update(steps)
        elif time.monotonic() - self.last >= PLAIN_INTERVAL:
            self.last = time.monotonic()
            of = f" of {self.total:,}" if self.total else ""
            rest = f", {left(self.begun, self.done, self.total)}" if self.total else ""
            log.info("%s: %s%s %s%s", self.label, f"{self.done:,}", of, self.unit, rest)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar is not None:
            self.bar.close()
