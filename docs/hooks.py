"""Lets links that work in the repository work on the site too (a hook of MkDocs).

A page of docs/ may link to any file of the repository, as readers of the plain Markdown need it. On the site such a
file becomes a page of its own under repository/: Markdown as it is, any other text as a listing. So the site needs
neither the repository's address nor the network.
"""

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[1]
DOCS = "docs/"
PLACE = "repository/"
LISTING = ".md"  # behind the name of a file that is shown as a listing
LINK = re.compile(r"(?P<before>\]\()(?P<path>[^)\s#]+)(?P<anchor>#[^)\s]*)?(?P<after>\))")
CODE = re.compile(r"(^ *```.*?^ *```|`+[^`\n]+`+)", re.MULTILINE | re.DOTALL)
LANGUAGES = {".py": "python", ".yaml": "yaml", ".yml": "yaml", ".csv": "text", ".toml": "toml", ".smk": "python"}


def on_files(files: Any, config: Any) -> Any:
    """Add the files of the repository that pages link to, and those that these link to."""
    waiting = [(DOCS + file.src_uri, file.content_string) for file in files.documentation_pages()]
    while waiting:
        path, text = waiting.pop()
        for target in targets(path, text):
            uri = site_uri(target, files)
            if is_there(uri, files):
                continue
            if uri.endswith(f"{target}{LISTING}"):
                files.append(File.generated(config, uri, content=listing(target)))
            else:
                files.append(File.generated(config, uri, abs_src_path=str(ROOT / target)))
                waiting += [(target, (ROOT / target).read_text())] if is_markdown(target) else []
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Point links to files of the repository at their pages."""
    here = page.file.src_uri
    path = here.removeprefix(PLACE) if here.startswith(PLACE) else DOCS + here

    def replace(link: re.Match[str]) -> str:
        if is_elsewhere(link["path"]):
            return link[0]
        uri = site_uri(resolve(path, link["path"]), files)
        return f"{link['before']}{posixpath.relpath(uri, posixpath.dirname(here))}{link['anchor'] or ''}{link['after']}"

    parts = CODE.split(markdown)
    parts[::2] = [LINK.sub(replace, part) for part in parts[::2]]
    return "".join(parts)


def targets(path: str, text: str) -> Iterator[str]:
    """The files of the repository that a Markdown text links to."""
    for part in CODE.split(text)[::2]:
        for link in LINK.finditer(part):
            if not is_elsewhere(link["path"]):
                yield resolve(path, link["path"])


def is_there(uri: str, files: Any) -> bool:
    """Whether the site has a file, and shows it."""
    file = files.get_file_from_path(uri)
    return file is not None and not file.inclusion.is_excluded()


def is_elsewhere(path: str) -> bool:
    """Whether a link leads out of the repository."""
    return re.match(r"[a-z]+:", path) is not None


def is_markdown(path: str) -> bool:
    return path.endswith(".md")


def resolve(page: str, link: str) -> str:
    """The file that a link on a page means; of a folder its README.md."""
    target = posixpath.normpath(posixpath.join(posixpath.dirname(page), link))
    if (ROOT / target).is_dir():
        target = f"{target}/README.md"
    if target.startswith("..") or not (ROOT / target).is_file():
        raise PluginError(f"{page}: {link} is no file of the repository")
    return target


def site_uri(target: str, files: Any) -> str:
    """Where a file of the repository is on the site."""
    if target.startswith(DOCS) and is_there(target.removeprefix(DOCS), files):
        return target.removeprefix(DOCS)
    if is_markdown(target) or is_picture(target):
        return PLACE + target
    return f"{PLACE}{target}{LISTING}"


def is_picture(path: str) -> bool:
    return path.endswith((".png", ".svg", ".pdf"))


def listing(target: str) -> str:
    """A page that shows a file."""
    text = (ROOT / target).read_text()
    fence = "`" * (max(map(len, re.findall(r"`+", text)), default=2) + 1)
    fence = max(fence, "```", key=len)
    language = LANGUAGES.get(Path(target).suffix, "text")
    return f"# {target}\n\n{fence}{language}\n{text.rstrip()}\n{fence}\n"
