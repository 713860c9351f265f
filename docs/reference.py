"""Write the pages of docs/reference from what they describe, or with --check say which are out of date.

configuration.md: config/config.yaml (defaults and remarks) and workflow/schemas/config.schema.yaml (what is allowed).
scripts.md: docstring and options of each script. api.md: docstrings and signatures of the names that `rnnids` exports.
results.md: docs/reference/results.yaml, which describes every file and column; tests hold it equal to a finished run.
"""

import argparse
import ast
import contextlib
import dataclasses
import functools
import importlib
import inspect
import operator
import re
import sys
import textwrap
import typing
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import FunctionType
from typing import Any
from unittest import mock

import yaml

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ROOT / "scripts"
PAGES = ROOT / "docs/reference"
NOTE = "<!-- Written by `make reference`; do not edit. -->"
FREE = {  # sections with names that a user chooses: what describes one of them, and its heading
    "datasets": ("described_dataset", "datasets.NAME"),
    "models": ("model", "models.NAME"),
    "threat_models": ("threat_model", "threat_models.NAME"),
}
ROOMS = {
    "flows": "Captures and flows",
    "datasets": "Data sets",
    "detectors": "Detectors",
    "attacks": "Attacks and robustness",
    "explanations": "Explanations",
}
NAMED = ("Args", "Attributes", "Raises")
SECTIONS = (*NAMED, "Returns", "Yields")
KINDS = {"str": "text", "Path": "path", "optional": "text or `none`", "int": "integer", "float": "number"}
KINDS |= {"positive int": "integer above 0", "positive float": "number above 0"}
SHOWN_METHODS = ("__call__", "forward")


def cell(text: str) -> str:
    """A text as a cell of a table."""
    return " ".join(text.split()).replace("|", r"\|")


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table."""
    lines = ["| " + " | ".join(headings) + " |", "|" + "---|" * len(headings)]
    return [*lines, *("| " + " | ".join(cell(value) for value in row) + " |" for row in rows), ""]


def plain(text: str) -> str:
    """A text in which nothing but what stands in backticks is markup."""
    parts = re.split(r"(`+[^`]+`+)", re.sub(r":(?:class|func|meth|mod):`~?([^`]+)`", r"`\1`", text))
    for place in range(0, len(parts), 2):
        parts[place] = re.sub(r"([*\[\]])", r"\\\1", parts[place]).replace("<", "&lt;")
    return "".join(re.sub(r"^``(.*)``$", r"`\1`", part) for part in parts)


# Configuration


def defaults() -> dict[tuple[str, ...], tuple[Any, str]]:
    """{path of a key: (its default, its remark)} of config/config.yaml, in its order."""
    text = (ROOT / "config/config.yaml").read_text()
    lines = text.splitlines()
    found: dict[tuple[str, ...], tuple[Any, str]] = {}

    def visit(node: yaml.MappingNode, path: tuple[str, ...]) -> None:
        for key, value in node.value:
            own = (*path, key.value)
            found[own] = (yaml.safe_load(yaml.serialize(value)), remark(lines, key.start_mark.line))
            if isinstance(value, yaml.MappingNode) and not value.flow_style:
                visit(value, own)

    visit(yaml.compose(text), ())
    return found


def remark(lines: Sequence[str], line: int) -> str:
    """The comments directly above a line and at its end."""
    above = []
    while line - len(above) > 0 and lines[line - len(above) - 1].lstrip().startswith("#"):
        above.append(lines[line - len(above) - 1].strip("# "))
    behind = re.search(r" # (.*)$", lines[line])
    return " ".join([*reversed(above), *([behind[1]] if behind else [])])


def schema() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())


def resolved(node: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """A node of the schema with what it refers to."""
    if "$ref" not in node:
        return node
    place = node["$ref"].split("/")[2:]  # behind #/$defs
    base = resolved(functools.reduce(operator.getitem, place, definitions), definitions)
    return base | {key: value for key, value in node.items() if key != "$ref"}


def allowed(node: dict[str, Any]) -> str:
    """What a key may be, in words."""
    if "enum" in node:
        return "one of " + ", ".join(f"`{value}`" for value in node["enum"])
    items = node.get("items", {})
    if "enum" in items:
        return f"{node['description']}: " + ", ".join(f"`{value}`" for value in items["enum"])
    if "description" in node:
        return plain(node["description"])
    if isinstance(items, dict) and "type" in items:
        return f"a list of {items['type']}s"
    return "a list" if node.get("type") == "array" else "a section"


def shown(value: Any) -> str:
    """A value of the configuration as a user would write it."""
    text = yaml.safe_dump(value, default_flow_style=True, width=1000, sort_keys=False).removesuffix("\n...\n").strip()
    return f"`{text}`"


def configuration() -> str:
    values, whole = defaults(), schema()
    definitions = whole["$defs"]
    lines = [
        "# Configuration keys",
        "",
        NOTE,
        "",
        "Every key with its default, from [config/config.yaml](../../config/config.yaml), and what it may be, from",
        "[the schema](../../workflow/schemas/config.schema.yaml). [The manual](../../config/README.md) says how a",
        "configuration of one's own is written. *Sec.*, *Eq.* and *Fig.* are those of the paper.",
        "",
        "## General",
        "",
    ]
    top = {name: resolved(node, definitions) for name, node in whole["properties"].items()}
    general = [path for path in values if len(path) == 1 and "properties" not in top[path[0]] and path[0] not in FREE]
    lines += key_table([(path[0], values[path], top[path[0]]) for path in general])
    for name in (path[0] for path in values if len(path) == 1 and path not in general):
        kind, heading = FREE.get(name, (None, name))
        node = definitions[kind] if kind else top[name]
        lines += [f"## {heading}", ""]
        words = values[name,][1] or ("" if kind else node.get("description", ""))
        lines += [*textwrap.wrap(capitalised(plain(words)) + ".", 118), ""] if words else []
        if kind:
            lines += key_table(described(node["properties"], definitions))
            names = [(path[1], values[path]) for path in values if path[0] == name and len(path) == 2]
            lines += ["Described by default:", ""]
            lines += table(
                ("name", "what it says", "remark"), ((f"`{own}`", shown(v), plain(r)) for own, (v, r) in names)
            )
        else:
            lines += section(name, node, values, definitions)
    return "\n".join(lines).rstrip() + "\n"


def section(
    name: str, node: dict[str, Any], values: dict[tuple[str, ...], tuple[Any, str]], definitions: dict[str, Any]
) -> list[str]:
    """The tables of a section and of those within it."""
    rows, inner = [], []
    for key, reference in node["properties"].items():
        child, path = resolved(reference, definitions), (*name.split("."), key)
        if "properties" in child:
            inner += [f"### {name}.{key}", ""]
            words = values.get(path, (None, ""))[1] or child.get("description", "")
            inner += [capitalised(plain(words)) + ".", ""] if words else []
            present = {k: v for k, v in child["properties"].items() if (*path, k) in values}
            inner += section(f"{name}.{key}", child | {"properties": present}, values, definitions)
        else:
            rows.append((key, values.get(path), child))
    return [*key_table(rows), *inner] if rows else inner


def key_table(rows: Iterable[tuple[str, tuple[Any, str] | None, dict[str, Any]]]) -> list[str]:
    """A table of keys: (key, (default, remark) or None where there is no default, node of the schema)."""
    rows = list(rows)
    if all(value is None for _, value, _ in rows):
        return table(("key", "allowed"), ((f"`{key}`", allowed(node)) for key, _, node in rows))
    lines = []
    for key, value, node in rows:
        default, meaning = (shown(value[0]), plain(value[1])) if value else ("", "")
        lines.append((f"`{key}`", default, meaning, allowed(node)))
    return table(("key", "default", "meaning", "allowed"), lines)


def described(
    properties: dict[str, Any], definitions: dict[str, Any], within: str = ""
) -> list[tuple[str, None, dict[str, Any]]]:
    """The keys that describe something, with those within them that no section of their own describes."""
    rows: list[tuple[str, None, dict[str, Any]]] = []
    for key, child in properties.items():
        rows.append((within + key, None, resolved(child, definitions)))
        if "$ref" not in child:
            rows += described(child.get("properties", {}), definitions, f"{within}{key}.")
    return rows


def capitalised(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".")


# Scripts


class Caught(Exception):
    """Carries the parser out of a script before anything runs."""


def script_parser(name: str) -> argparse.ArgumentParser:
    """The parser of scripts/NAME.py; the script does not run."""

    def catch(self: argparse.ArgumentParser, *_: Any, **__: Any) -> None:
        raise Caught(self)

    main: Callable[..., None] = importlib.import_module(name).main
    with mock.patch.object(argparse.ArgumentParser, "parse_args", catch), contextlib.suppress(SystemExit):
        try:
            main([])
        except Caught as caught:
            return caught.args[0]
    raise RuntimeError(f"{name}.py parses no arguments")


def option_name(action: argparse.Action) -> str:
    """How an option is written, with what follows it."""
    name = ", ".join(f"`{text}`" for text in action.option_strings) or f"`{action.dest}`"
    if action.nargs == 0 or not action.option_strings:
        return name
    return name + (" ..." if action.nargs in ("*", "+") else f" × {action.nargs}" if action.nargs else "")


def option_kind(action: argparse.Action) -> str:
    """What an option takes."""
    if action.nargs == 0:
        return "nothing"
    if action.choices:
        return ", ".join(f"`{choice}`" for choice in action.choices)
    if isinstance(action.metavar, str) and action.metavar.startswith("{"):
        return ", ".join(f"`{choice}`" for choice in action.metavar.strip("{}").split(","))
    kind = getattr(action.type, "__name__", "text") if action.type else "text"
    return {"str": "text", "Path": "path", "optional": "text or `none`", "int": "integer", "float": "number"}.get(
        kind, kind
    )


def option_default(action: argparse.Action) -> str:
    if action.required:
        return "required"
    if action.default is None or action.default in ((), [], argparse.SUPPRESS):
        return "`none`"
    value = action.default
    return f"`{' '.join(map(str, value)) if isinstance(value, (list, tuple)) else value}`"


def scripts() -> str:
    names = sorted(path.stem for path in SCRIPTS.glob("*.py"))
    first = {name: documentation(SCRIPTS / f"{name}.py").split("\n\n")[0] for name in names}
    lines = [
        "# Scripts",
        "",
        NOTE,
        "",
        "One program a rule. Each runs without Snakemake: `python scripts/evaluate.py --help`; options that are not",
        "required have a default. The workflow's defaults are those of [configuration](configuration.md).",
        "",
        *table(("script", "what it does"), ((f"[`{n}.py`](#{n}py)", plain(first[n])) for n in names)),
    ]
    for name in names:
        lines += [f"## {name}.py", "", plain(documentation(SCRIPTS / f"{name}.py")), ""]
        actions = [action for action in script_parser(name)._actions if not isinstance(action, argparse._HelpAction)]
        rows = (
            (option_name(a), option_kind(a), option_default(a), plain((a.help or "").replace("%%", "%")))
            for a in actions
        )
        lines += table(("option", "takes", "default", "meaning"), rows)
    return "\n".join(lines).rstrip() + "\n"


def help_of(action: argparse.Action) -> str:
    """Its help, without what argparse would fill in."""
    return (action.help or "").replace("%%", "%")


def documentation(path: Path) -> str:
    return ast.get_docstring(ast.parse(path.read_text())) or ""


# Python API


def api() -> str:
    rnnids = importlib.import_module("rnnids")
    lines = [
        "# Python API",
        "",
        NOTE,
        "",
        "`pip install .` in a clone, then `import rnnids`. Shapes are numpy's: N flows, P packets, B flows of a batch",
        "padded to T packets, 15 features. [Attack one flow](../examples/attack_one_flow.py) is a whole example.",
        "",
    ]
    for room, heading in ROOMS.items():
        lines += [f"## {heading}", ""]
        for name in (name for name in rnnids.__all__ if rnnids.HOMES[name].split(".")[0] == room):
            lines += documented(name, getattr(rnnids, name), f"rnnids.{rnnids.HOMES[name]}")
    lines += ["## What they take and return", ""]
    for found in sorted(signature_classes(rnnids), key=lambda each: each.__name__):
        lines += documented(found.__name__, found, found.__module__)
    return "\n".join(lines).rstrip() + "\n"


def documented(name: str, found: Any, module: str) -> list[str]:
    """A name with its signature and its docstring; of a class its settings and public methods too."""
    where = Path(importlib.import_module(module).__file__ or "")
    source = [f"In [`{module}`](../../{where.relative_to(ROOT)}).", ""]
    lines = [f"### {name}", ""]
    if not inspect.isclass(found):
        return [*lines, *fenced(signature(where, name)), *docstring(inspect.getdoc(found) or ""), *source]
    arguments = settings_rows(found)
    written = getattr(vars(found).get("__init__"), "__module__", "") == found.__module__
    if not arguments and written and not dataclasses.is_dataclass(found):
        lines += fenced(signature(where, f"{name}.__init__", name).removesuffix(" -> None"))
    lines += docstring(inspect.getdoc(found) or "")
    if arguments:
        lines += ["Settings, all by name:", "", *table(("setting", "default", "meaning"), arguments)]
    others = []
    for method, owner in public_methods(found):
        text = inspect.getdoc(vars(owner)[method]) or ""
        if method in SHOWN_METHODS:
            called = "detector" if "Detector" in name else "attack"
            shown = called if method == "__call__" else f"{called}.{method}"
            call = signature(Path(inspect.getfile(owner)), f"{owner.__name__}.{method}", shown)
            lines += [*fenced(call), *docstring(text)]
        elif not arguments:
            others.append((f"`{method}`", plain(text.partition("\n\n")[0])))
    if others:
        lines += table(("further", "what it is"), others)
    return [*lines, *source]


def signature_classes(rnnids: Any) -> set[type]:
    """The library's classes in signatures of public names that are no public names themselves."""
    classes = set()
    for name in rnnids.__all__:
        found = getattr(rnnids, name)
        methods = [method for method in SHOWN_METHODS if inspect.isclass(found) and hasattr(found, method)]
        for call in [getattr(found, method) for method in methods if inspect.isfunction(getattr(found, method))] or [
            found
        ]:
            hints = typing.get_type_hints(call)
            parts = [part for hint in hints.values() for part in (hint, *typing.get_args(hint))]
            classes |= {part for part in parts if inspect.isclass(part) and part.__module__.startswith("rnnids.")}
    return {each for each in classes if each.__name__ not in rnnids.__all__}


def settings_rows(found: type) -> list[tuple[str, str, str]]:
    """(name, default, meaning) of the settings of a class that is made of them."""
    from rnnids.settings import fields

    with contextlib.suppress(TypeError, KeyError):
        return [(f"`{f.name}`", f"`{f.default}`", plain(f.text)) for f in fields(found)]
    return []


def public_methods(found: type) -> Iterator[tuple[str, type]]:
    """(method or property, class that defines it) of what a user asks for: `__call__`, and what has no underscore."""
    seen = set()
    for owner in (base for base in found.__mro__ if base.__module__.startswith("rnnids.")):
        for name, value in vars(owner).items():
            public = name == "__call__" or not name.startswith("_")
            if public and isinstance(value, (FunctionType, property)) and name not in seen and inspect.getdoc(value):
                seen.add(name)
                yield name, owner


def signature(path: Path, name: str, shown: str = "") -> str:
    """The signature as it stands in the file, on one line or on several, without `self`."""
    scope: Any = ast.parse(path.read_text())
    for part in name.split("."):
        (scope,) = (node for node in scope.body if getattr(node, "name", None) == part)
    arguments, back = ast.unparse(scope.args), f" -> {ast.unparse(scope.returns)}" if scope.returns else ""
    parts = re.split(r", (?![^\[(]*[\])])", arguments)
    parts = [re.sub(r"^(\w+: [^=]+)=", r"\1 = ", part) for part in parts if part != "self"]
    line = f"{shown or scope.name}({', '.join(parts)}){back}"
    if len(line) <= 100:
        return line
    return f"{shown or scope.name}(\n" + "".join(f"    {part},\n" for part in parts) + f"){back}"


def fenced(text: str) -> list[str]:
    return ["```python", *text.splitlines(), "```", ""]


def docstring(text: str) -> list[str]:
    """A docstring in Google's style as Markdown."""
    lines: list[str] = []
    for block in re.split(rf"\n(?=(?:{'|'.join(SECTIONS)}):\n)", text):
        head, _, body = block.partition("\n")
        if head.rstrip(":") in SECTIONS and head.endswith(":"):
            lines += [f"*{head.rstrip(':')}*", "", *items(textwrap.dedent(body), named=head[:-1] in NAMED), ""]
        else:
            lines += [*paragraphs(block), ""]
    return lines


def items(body: str, *, named: bool) -> list[str]:
    """The entries of a section: where `named` each is `name: text`, and more of them may stand on a line."""
    joined = re.sub(r"\n\s+", " ", body.strip())
    if not named:
        return [f"- {plain(line)}" for line in filter(None, joined.splitlines())]
    lines = []
    for line in filter(None, re.sub(r"(?<=\.) (?=[a-z_]+(?:, [a-z_]+)*: )", "\n", joined).splitlines()):
        name, _, text = line.partition(": ")
        lines.append(f"- `{name}`: {plain(text)}" if text else f"- {plain(line)}")
    return lines


def paragraphs(text: str) -> list[str]:
    """Text with its examples and indented lines as code."""
    lines: list[str] = []
    for block in text.strip().split("\n\n"):
        if block.startswith(">>>"):
            lines += ["```pycon", block, "```", ""]
        elif block.startswith("    "):
            lines += ["```python", textwrap.dedent(block), "```", ""]
        else:
            lines += [plain(block), ""]
    return lines[:-1]


# Results


def results() -> str:
    found = yaml.safe_load((PAGES / "results.yaml").read_text())
    columns = importlib.import_module("rnnids.flows.columns")
    common = dict(found["columns"])
    for place, layout in (("flows", columns.FLOW_COLUMNS), ("packets", columns.PACKET_COLUMNS)):
        common |= {f"{place}/{name}": f"{own.meaning} ({own.unit})" for name, own in layout.items()}
    lines = [
        "# Files of a run",
        "",
        NOTE,
        "",
        *found["introduction"].splitlines(),
        "",
    ]
    for heading, files in found["files"].items():
        lines += [f"## {heading}", ""]
        for path, entry in files.items():
            lines += [f"### `{path}`", "", capitalised(entry["text"]) + ".", ""]
            if "when" in entry:
                lines += [f"There {entry['when']}.", ""]
            if "columns" in entry:
                lines += [", ".join(f"`{name}`" for name in entry["columns"]), ""]
            own = entry.get("here", {}).items()
            lines += [*(f"- `{name}`: {text}" for name, text in own), *([""] if own else [])]
    lines += ["## Columns", "", "What a column means, unless its file says otherwise.", ""]
    lines += table(("column", "meaning"), ((f"`{name}`", text) for name, text in sorted(common.items())))
    return "\n".join(lines).rstrip() + "\n"


PAGE_WRITERS = {"configuration.md": configuration, "scripts.md": scripts, "api.md": api, "results.md": results}


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, fail where a page is out of date")
    args = parser.parse_args(argv)
    sys.path[:0] = [str(SCRIPTS)]
    pages = {PAGES / name: write() for name, write in PAGE_WRITERS.items()}
    old = [path for path, text in pages.items() if not path.exists() or path.read_text() != text]
    if args.check:
        sys.exit(f"out of date, run `make reference`: {', '.join(path.name for path in old)}" if old else 0)
    for path in old:
        path.write_text(pages[path])


if __name__ == "__main__":
    main()
