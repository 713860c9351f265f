"""The pages of the documentation: their blocks, their links, the commands that they name."""

import re
import shlex
from typing import NamedTuple

from conftest import REPOSITORY

GENERATED = "docs/reference/"
PAGES = [
    *("README.md", "CONTRIBUTING.md", "config/README.md", "config/labels/README.md"),
    *(f"resources/{name}/README.md" for name in ("lab", "lab2", "models", "paper")),
    *sorted(path.relative_to(REPOSITORY).as_posix() for path in (REPOSITORY / "docs").rglob("*.md")),
]
TEXTS = {page: (REPOSITORY / page).read_text() for page in PAGES}
BLOCK = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`((?:snakemake|make|python|pip|apptainer) [^`]*)`")
CONTROL = {"&&", "||", "|", ";", "&"}
KEYWORDS = {"do", "done"}


class Command(NamedTuple):
    """One simple command. `writes`: files to which its output goes."""

    page: str
    words: list[str]
    writes: list[str]

    def __str__(self):
        return f"{self.page}: {shlex.join(self.words)}"


def blocks(page, language):
    """The code blocks of a page in a language."""
    return [text for found, text in BLOCK.findall(TEXTS[page]) if found == language]


def commands(page):
    """The commands of a page in order: those of its sh blocks, of indented blocks and of spans within sentences.

    A span with "..." is a sketch and left out.
    """
    found = []
    for match in re.finditer(
        rf"(?P<block>{BLOCK.pattern})|(?P<indented>(?:^    [^\n]*\S[^\n]*\n)+)|{INLINE.pattern}",
        TEXTS[page],
        BLOCK.flags,
    ):
        if match["block"]:
            text = match[3] if match[2] == "sh" else ""
        elif match["indented"]:
            text = re.sub(r"(?m)^    ", "", match["indented"])
            text = text if re.match(r"snakemake |make |python ", text) else ""
        else:
            text = match[5] if "..." not in match[5] else ""
        found += simple_commands(page, text)
    return found


def simple_commands(page, text):
    """The simple commands of a piece of shell."""
    found = []
    for line in re.sub(r"\$\([^()]*\)", "$SUBSTITUTED", text.replace("\\\n", " ")).splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split, lexer.commenters = True, "#"
        words, writes = [], []
        waiting = [*lexer, ";"]
        while waiting:
            word = waiting.pop(0)
            if word in CONTROL:
                if words:
                    found.append(Command(page, words, writes))
                words, writes = [], []
            elif word in (">", ">>", "2>"):
                writes.append(waiting.pop(0))
            elif word not in KEYWORDS and not (not words and re.fullmatch(r"[A-Z_]+=\S*", word)):
                words.append(word)
    return found


def links(page):
    """(file of the repository, anchor or "") of each link of a page that leads to a file."""
    text = re.sub(r"`[^`\n]*`", "", BLOCK.sub("", TEXTS[page]))
    folder = (REPOSITORY / page).parent
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"[a-z]+:", target):
            path, _, anchor = target.partition("#")
            yield (folder / path).resolve() if path else REPOSITORY / page, anchor


def anchors(text):
    """The anchors of the headings of a page, as GitHub and the site make them."""
    headings = re.findall(r"(?m)^#+ (.*)$", BLOCK.sub("", text))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}
