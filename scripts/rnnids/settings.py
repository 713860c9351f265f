"""Settings of a method: one frozen dataclass with defaults and help, its only home.

From it come the keywords of the Python API, the options and ``--help`` of a script; ``tests/test_settings.py`` holds it
equal to configuration and schema.

>>> @dataclass(frozen=True, kw_only=True)
... class Attack:
...     kappa: float = setting(1.0, "weight of the hinge", above=0)
...     max_flows: int | None = setting(40, "flows of a type, at most; none: all", minimum=1)
>>> parser = argparse.ArgumentParser()
>>> add_options(parser, Attack)
>>> from_args(Attack, parser.parse_args(["--kappa", "5", "--max-flows", "none"]))
Attack(kappa=5.0, max_flows=None)
"""

import argparse
import dataclasses
import math
import types
import typing
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from rnnids.errors import InputError

T = TypeVar("T")
NONE = "none"  # what stands for None on the command line


def setting(
    default: Any,
    text: str,
    *,
    above: float | None = None,
    minimum: float | None = None,
    below: float | None = None,
    maximum: float | None = None,
    choices: Sequence[str] | None = None,
) -> Any:
    """A field of a settings class.

    Args:
        default: its value where none is given.
        text: one line of help, with the unit.
        above, minimum, below, maximum: bounds of a number, exclusive and inclusive.
        choices: the texts allowed.
    """
    bounds = {"above": above, "minimum": minimum, "below": below, "maximum": maximum}
    metadata = {"help": text, "choices": choices} | bounds
    if isinstance(default, (list, dict)):
        raise TypeError("a default that can be changed in place would be shared; use a tuple")
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Field:
    """One setting, as its class declares it.

    Attributes:
        name: of the field. kind: int, float, str or bool; of the items, where `many`.
        optional: whether None is allowed. many: whether it is a tuple.
        default, text: as given to :func:`setting`. choices: the texts allowed, or None.
        bounds: {"above", "minimum", "below", "maximum": number or None}.
    """

    name: str
    kind: type
    optional: bool
    many: bool
    default: Any
    text: str
    choices: Sequence[str] | None
    bounds: dict[str, float | None]

    def check(self, value: Any) -> None:
        """Raise InputError where `value` lies outside the bounds or choices."""
        for item in value if self.many else [value]:
            if item is None and self.optional:
                continue
            if self.choices is not None and item not in self.choices:
                raise InputError(f"{self.name}: {item!r} is not allowed; allowed: {', '.join(self.choices)}")
            if self.kind in (int, float) and not self._within(item):
                raise InputError(f"{self.name}: {item!r} is not allowed; expected {self.range_text()}")

    def _within(self, value: float) -> bool:
        low, least, high, most = (self.bounds[name] for name in ("above", "minimum", "below", "maximum"))
        return (
            math.isfinite(value)
            and (low is None or value > low)
            and (least is None or value >= least)
            and (high is None or value < high)
            and (most is None or value <= most)
        )

    def range_text(self) -> str:
        """The numbers allowed, in words."""
        words = {"above": "above", "minimum": "at least", "below": "below", "maximum": "at most"}
        limits = [f"{words[name]} {bound:g}" for name, bound in self.bounds.items() if bound is not None]
        return " and ".join(limits) if limits else "a finite number"


def fields(settings: type) -> list[Field]:
    """The settings that a class declares, in its order."""
    hints = typing.get_type_hints(settings)
    found = []
    for field in dataclasses.fields(settings):
        kind = hints[field.name]
        many = typing.get_origin(kind) is tuple
        if many:
            kind = typing.get_args(kind)[0]
        optional = typing.get_origin(kind) in (typing.Union, types.UnionType)
        if optional:
            (kind,) = (part for part in typing.get_args(kind) if part is not type(None))
        metadata = dict(field.metadata)
        text, choices = metadata.pop("help"), metadata.pop("choices")
        found.append(Field(field.name, kind, optional, many, field.default, text, choices, metadata))
    return found


def check(settings: Any) -> None:
    """Raise InputError where a value of a settings object lies outside its bounds: for ``__post_init__``."""
    for field in fields(type(settings)):
        field.check(getattr(settings, field.name))


def add_options(
    parser: argparse.ArgumentParser,
    settings: type,
    *,
    prefix: str = "",
    leave_out: Collection[str] = (),
    only: Collection[str] | None = None,
) -> None:
    """An option for each setting of a class, its default in ``--help``.

    Args:
        prefix: put before the names, where a script takes two classes with settings of one name.
        leave_out: names that the script does not ask for. only: those that it asks for; None: all.
    """
    for field in fields(settings):
        if field.name in leave_out or (only is not None and field.name not in only):
            continue
        name = f"--{prefix}{field.name}".replace("_", "-")
        text = field.text.replace("%", "%%")  # argparse formats help
        if field.kind is bool:
            parser.add_argument(name, action=argparse.BooleanOptionalAction, default=field.default, help=text)
            continue
        options: dict[str, Any] = {"type": _convert(field), "default": field.default, "help": text}
        if field.many:
            options |= {"nargs": "*"}
        options["metavar"] = "{" + ",".join(field.choices) + "}" if field.choices else field.kind.__name__.upper()
        parser.add_argument(name, **options)


def _convert(field: Field) -> Callable[[str], Any]:
    """The argparse type of a setting: text to a checked value."""

    def convert(text: str) -> Any:
        if field.optional and text == NONE:
            return None
        value = field.kind(text)
        try:
            field.check((value,) if field.many else value)
        except InputError as error:
            raise argparse.ArgumentTypeError(str(error)) from error
        return value

    convert.__name__ = field.kind.__name__  # argparse names it in "invalid int value"
    return convert


def from_args(settings: type[T], args: argparse.Namespace, *, prefix: str = "", **given: Any) -> T:
    """The settings among a script's arguments; `given` ones take precedence."""
    found = {}
    for field in fields(settings):
        if field.name in given or not hasattr(args, prefix + field.name):
            continue
        value = getattr(args, prefix + field.name)
        found[field.name] = tuple(value) if field.many else value
    return settings(**found | given)
