# What the rules of tables and figures have in common: options of the names of their inputs, and their outputs.


def inputs_by_name(wildcards, input):
    """A job's inputs as options of their names: --recall FILE --ars FILE."""
    files = {name: [paths] if isinstance(paths, str) else list(paths) for name, paths in input.items()}
    return flags({name: list(map(str, paths)) for name, paths in files.items()})


def in_report(path, caption, category, shows):
    """An output that the report shows, with workflow/report/`caption`.rst."""
    labels = {"data set": "{dataset}", "shows": shows}
    return report(path, caption=f"../report/{caption}.rst", category=category, labels=labels)


def figure(name, category, shows, caption=None):
    """The outputs of a figure's rule; the report shows the SVG."""
    path = f"results/{{dataset}}/figures/{name}"
    svg = in_report(f"{path}.svg", caption or name, category, shows)
    return {"pdf": f"{path}.pdf", "svg": svg, "png": f"{path}.png"}


def table(name, category, shows, caption=None, csv=None):
    """The outputs of a table's rule; the report shows the HTML."""
    path = f"results/{{dataset}}/tables/{name}"
    return {"csv": csv or f"{path}.csv", "html": in_report(f"{path}.html", caption or name, category, shows)}
