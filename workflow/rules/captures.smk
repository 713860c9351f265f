# The files that users bring: which captures a data set has, what they are called, and what to say when one is missing.

import functools
import glob
import re
import zipfile
from pathlib import Path, PurePosixPath

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

CAPTURE_SUFFIX = re.compile(r"(\.(pcap|pcapng|cap|dump))?(\.(gz|zst))?$")
NUMBERED = re.compile(r"(.*)\{(\d+)\.\.(\d+)\}(.*)")
ZIP_MEMBER = re.compile(r"(.+?\.zip)!(.+)", re.IGNORECASE | re.DOTALL)
UNUSABLE = re.compile(r"[{}<>\x00-\x1f\x7f]|^-")  # in a path: Snakemake's own, and the dash of an option


def split_member(path):
    """(file, member) of a path as archive.zip!folder/1.pcap; the member is None in any other path."""
    found = ZIP_MEMBER.fullmatch(path)
    return found.groups() if found else (path, None)


def count_through(numbered):
    """The names that a match of NUMBERED stands for."""
    before, first, last, after = numbered.groups()
    return [f"{before}{number}{after}" for number in range(int(first), int(last) + 1)]


def expand_members(archive, pattern):
    """The members of a zip archive that a name, a glob or numbered names mean."""
    if numbered := NUMBERED.fullmatch(pattern):
        return count_through(numbered)
    if not glob.has_magic(pattern):
        return [pattern]
    try:
        names = zipfile.ZipFile(locate(archive)).namelist()
    except Exception as error:  # of a damaged archive zipfile raises whatever its parts run into
        raise WorkflowError(
            f"{archive}!{pattern}: cannot list the archive ({error!r}); get it, or number the members"
        )
    matches = lambda name: not name.endswith("/") and PurePosixPath(name).match(pattern)
    return [pattern] if pattern in names else sorted(filter(matches, names))


def expand_captures(pattern):
    """The files that an entry of `captures` means: a path, a glob, or numbered files as in day1_{1..53}.pcap.

    After "archive.zip!" stands the same for its members; what a folder or archive holds need be there for a glob only.
    """
    archive, member = split_member(pattern)
    if member is not None:
        return [f"{locate(archive)}!{name}" for name in expand_members(archive, member)]
    if numbered := NUMBERED.fullmatch(pattern):
        return [locate(path) for path in count_through(numbered)]
    if glob.has_magic(pattern) and not Path(pattern).exists():
        return sorted(map(brought_along, glob.glob(pattern) or glob.glob(str(BASE / pattern))))
    return [locate(pattern)]


@functools.cache
def captures(dataset):
    """Capture name -> path for all captures of a data set, whether the files are there or not."""
    return named_captures(config["datasets"][dataset].get("captures", []), f"datasets.{dataset}.captures")


@functools.cache
def unlabelled(dataset):
    """Capture name -> path for the captures without labels that a data set's models are to watch."""
    return named_captures(config["unlabelled"].get(dataset, []), f"unlabelled.{dataset}")


def named_captures(patterns, key):
    """Capture name -> path for the entries of a list of captures; `key` is where it stands in the configuration."""
    files = []
    for pattern in patterns:
        found = expand_captures(pattern)
        if not found:
            raise WorkflowError(f"{key}: no file matches {pattern!r}")
        files.extend(found)
    files = list(dict.fromkeys(files))
    check_paths([split_member(path)[0] for path in files], key)
    alike = len({capture_name(path) for path in files}) < len(files)
    paths = {}
    for path in files:
        name = capture_name(path, with_folder=alike)
        if paths.setdefault(name, path) != path:
            raise WorkflowError(f"{key}: {paths[name]} and {path} would both be called {name!r}; rename one")
    return paths


def check_paths(paths, key):
    """Raise WorkflowError for a path that Snakemake takes for something else than it is."""
    for path in paths:
        if found := UNUSABLE.search(path):
            raise WorkflowError(
                f"{key}: {path!r}: {found[0]!r} cannot stand there, since Snakemake or a script would take it for its own;"
                " rename the file, or make a link to it of another name"
            )


def capture_name(path, with_folder=False):
    """A file's name without its suffixes, in a zip archive `with_folder` before it: pcaps_22-1-2015_1.

    A member of an archive cannot be renamed, so what its name must not hold becomes an underscore.
    """
    file, member = split_member(path)
    inner = PurePosixPath(member or file)
    name = CAPTURE_SUFFIX.sub("", inner.name)
    if not member:
        return name
    name = re.sub(r"\s", "_", f"{inner.parent.name}_{name}") if with_folder else name
    return UNUSABLE.sub("_", name)


@functools.cache
def missing_files(dataset):
    """Says which captures and label files of a data set are not there and where they come from; None if none is."""
    description = config["datasets"][dataset]
    files = (split_member(path)[0] for path in captures(dataset).values())
    paths = [*dict.fromkeys(files), *label_paths(dataset), *published_paths(dataset)]
    missing = [path for path in paths if not Path(path).exists()]
    if not missing:
        return None
    shown = "".join(f"\n  {path}" for path in missing[:12]) + (
        f"\n  ... {len(missing) - 12} more" if missing[12:] else ""
    )
    return f"{dataset}: {len(missing)} of {len(paths)} files are missing:{shown}\nSource: {description['source']}"


@functools.cache
def warn(message):
    """Log a warning once."""
    logger.warning(message)


def brought(path, wildcards, product):
    """An input that a user brings: a dry run plans on without it, a run stops before its first job.

    Once its product exists it may be archived elsewhere, as Snakemake allows for any source file.
    """
    if Path(path).exists() or placed(product.format(**wildcards)).exists():
        return path
    message = missing_files(wildcards.dataset)
    if workflow.executor_plugin is None or workflow.dryrun:
        warn(message)
        return []
    raise WorkflowError(message)


def capture_file(wildcards):
    """The capture behind a flow file, or the zip archive that holds it."""
    path, _ = split_member(captures(wildcards.dataset)[wildcards.capture])
    return brought(path, wildcards, "results/{dataset}/flows/{capture}.h5")


def unlabelled_file(wildcards):
    """A capture that is to be watched, or the zip archive that holds it."""
    known = unlabelled(wildcards.dataset)
    if wildcards.capture not in known:
        raise WorkflowError(
            f"unlabelled.{wildcards.dataset}: no capture {wildcards.capture!r}; {nearest(wildcards.capture, list(known))}"
        )
    return split_member(known[wildcards.capture])[0]


def label_paths(dataset):
    """The label files of a data set."""
    paths = config["datasets"][dataset].get("labels", [])
    found = [locate(path) for path in ([paths] if isinstance(paths, str) else paths)]
    check_paths(found, f"datasets.{dataset}.labels")
    return found


def files_at_hand(dataset):
    """The captures, archives, label files and published files of a data set that are there."""
    files = [split_member(path)[0] for path in captures(dataset).values()]
    files += [*label_paths(dataset), *published_paths(dataset)]
    return [path for path in dict.fromkeys(files) if Path(path).exists()]


def label_files(wildcards):
    """The label files of a data set, or nothing in a dry run where they are missing."""
    found = [
        brought(path, wildcards, "results/{dataset}/dataset.h5") for path in label_paths(wildcards.dataset)
    ]
    return [path for path in found if path]


def imported():
    """The data sets of which the authors' published flows are given, instead of captures and labels."""
    return [name for name, description in config["datasets"].items() if "published" in description]


def captured():
    """The data sets of captures."""
    return [name for name in config["datasets"] if name not in imported()]


def selected_captured():
    """The selected data sets of captures; the log says what of the others is left out."""
    left_out = [name for name in config["selected_datasets"] if name in imported()]
    if left_out:
        warn(
            f"{', '.join(left_out)}: published flows have no captures, addresses, times or payload, so for them"
            " check_datasets, label_audit, table_round_trip, adversarial_captures and page are left out"
        )
    return [name for name in config["selected_datasets"] if name in captured()]


def published_parts(dataset):
    """The parts of a data set's published flows, sorted, whether they are there or not."""
    patterns = config["datasets"][dataset]["published"]["flows"]
    found = [path for pattern in patterns for path in expand_captures(pattern) or [pattern]]
    check_paths(found, f"datasets.{dataset}.published.flows")
    return list(dict.fromkeys(found))


def published_file(dataset, key):
    """One other published file of a data set, or None where the configuration names none."""
    path = config["datasets"][dataset]["published"].get(key)
    if path is None:
        return None
    check_paths([path], f"datasets.{dataset}.published.{key}")
    return locate(path)


def published_nets(dataset):
    """Model -> path of the published nets of a data set."""
    nets = config["datasets"][dataset].get("published", {}).get("nets", {})
    check_paths(nets.values(), f"datasets.{dataset}.published.nets")
    return {model: locate(path) for model, path in nets.items()}


def published_paths(dataset):
    """All published files of a data set."""
    if dataset not in imported():
        return []
    others = [published_file(dataset, key) for key in ("categories", "normalisation")]
    return [*published_parts(dataset), *filter(None, others), *published_nets(dataset).values()]


def imported_nets():
    """The models that published nets stand for, as dataset/model."""
    return [f"{dataset}/{model}" for dataset in imported() for model in published_nets(dataset)]


def published_inputs(wildcards):
    """Flows, names and normalisation; in a dry run without those that are missing."""
    dataset = wildcards.dataset
    wanted = {"flows": published_parts(dataset)}
    wanted |= {key: published_file(dataset, key) for key in ("categories", "normalisation")}
    return brought_by_name(wanted, wildcards, "results/{dataset}/dataset.h5")


def net_inputs(wildcards):
    """A net, and the normalisation with which it was trained."""
    dataset = wildcards.dataset
    wanted = {"net": published_nets(dataset)[wildcards.model]}
    wanted |= {"normalisation": published_file(dataset, "normalisation")}
    return brought_by_name(wanted, wildcards, "results/{dataset}/{model}/weights.safetensors")


def brought_by_name(wanted, wildcards, product):
    """{name: files} of those that are there or, in a run, must be."""
    found = {}
    for name, paths in wanted.items():
        paths = paths if isinstance(paths, list) else [paths]
        files = [brought(path, wildcards, product) for path in paths if path]
        found[name] = [path for path in files if path]
    return {name: files for name, files in found.items() if files}
