"""Reads tables in LaTeX source: environments, rows, cells, and characters that LaTeX would not print."""

import re
import shutil
import subprocess

TEX = shutil.which("pdflatex") or shutil.which("tectonic")
DOCUMENT = """\\documentclass{article}
\\usepackage{booktabs,longtable}
\\begin{document}
%s
\\end{document}
"""
RULES = ("\\toprule", "\\midrule", "\\bottomrule", "\\endfirsthead", "\\endhead", "\\endfoot", "\\caption", "\\label")
# What our own source says that is no text: commands with and without an argument in braces, and mathematics.
COMMANDS = re.compile(r"\\(?:text[a-z]+|dots)\{\}|\\mbox\{-\}|\$(?:-|\\[a-z]+)\$|\{[][]\}|-\{\}|\\[&%_#${}]")


def environments(source):
    """Names of environments in order; AssertionError where one ends that was not the last to begin."""
    opened, found = [], []
    for kind, name in re.findall(r"\\(begin|end)\{([a-z*]+)\}", source):
        if kind == "begin":
            opened.append(name)
            found.append(name)
        else:
            assert opened and opened.pop() == name, f"{name} ends, which did not begin last"
    assert not opened, f"{opened} do not end"
    return found


def tabulars(source):
    """(number of columns, rows of cells) of each tabular or longtable; a long one says its head twice."""
    for _, columns, body in re.findall(r"(?s)\\begin\{(tabular|longtable)\}\{(.*?@\{\})\}\n(.*?)\\end\{\1\}", source):
        kinds = re.sub(r"p\{\w+\}", "p", columns.removeprefix("@{}").removesuffix("@{}"))
        assert set(kinds) <= set("lrp"), columns
        lines = [line for line in body.splitlines() if not line.startswith(RULES)]
        assert all(line.endswith(r" \\") for line in lines), lines
        yield len(kinds), [re.split(r"(?<!\\) & ", line.removesuffix(r" \\")) for line in lines]


def captions(source):
    """The texts of all captions, with their short forms before them."""
    return [line.removeprefix("\\caption") for line in source.splitlines() if line.startswith("\\caption")]


def unescaped(text):
    """Characters of a cell that LaTeX would take for its own."""
    return re.findall(r"[&%_#$^\\{}]", COMMANDS.sub("", text))


def check(source):
    """AssertionError if LaTeX would stumble over the source of our tables."""
    names = environments(source)
    assert {"table", "table*", "longtable"} & set(names)
    for columns, rows in tabulars(source):
        assert len(rows) > 1
        for row in rows:
            assert len(row) == columns, row
            assert not any(map(unescaped, row)), row
    labels = re.findall(r"\\label\{(tab:[\w-]+)\}", source)
    assert len(set(labels)) == len(captions(source)) == len(list(tabulars(source)))
    for caption in captions(source):
        assert caption.startswith("[") and caption.count("{") == caption.count("}"), caption


def compiled(source, folder):
    """What the LaTeX at hand says of a document with the source; AssertionError if it makes no PDF of it."""
    (folder / "document.tex").write_text(DOCUMENT % source, encoding="utf-8")
    options = ["-interaction=nonstopmode", "-halt-on-error"] if "pdflatex" in TEX else []
    words = [TEX, *options, "document.tex"]
    run = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0 and (folder / "document.pdf").exists(), run.stdout[-3000:]
    return run.stdout
