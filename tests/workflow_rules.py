"""The rules of the workflow as their files have them, with what `use rule ... with` inherits."""

import re

from conftest import REPOSITORY

RULE = re.compile(r"(?:use rule (?P<base>\w+) as |rule )(?P<name>\w+)")


def scripts_and_environments():
    """(script, environment file) of every rule that runs a script."""
    text = "\n".join(path.read_text() for path in sorted((REPOSITORY / "workflow/rules").glob("*.smk")))
    blocks = {RULE.match(block)["name"]: block for block in re.split(r"(?m)^(?=rule |use rule )", text)[1:]}
    for name, block in blocks.items():
        for script in re.findall(r'code=code\("(\w+)\.py"\)', block):
            yield script, environment(blocks, name)


def environment(blocks, name):
    """The environment file of a rule, its own or inherited; `blocks` has the text of each rule."""
    own = re.search(r"envs/\w+\.yaml", blocks[name])
    return own.group() if own else environment(blocks, RULE.match(blocks[name])["base"])
