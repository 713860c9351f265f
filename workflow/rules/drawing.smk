# What rules have in common: options of the names of their inputs and outputs, and the outputs of tables and figures.


def inputs_by_name(wildcards, input):
    """A job's inputs as options of their names: --recall FILE --ars FILE."""
    files = {name: [paths] if isinstance(paths, str) else list(paths) for name, paths in input.items()}
    return flags({name: list(map(str, paths)) for name, paths in files.items()})


def outputs_by_name(wildcards, output):
    """A job's outputs as options of their names: --output FILE --steps FILE."""
    return flags({name: str(path) for name, path in output.items()})


def compared_models(variant):
    """The models that a figure with a variant in its name shows: fig6, fig6_before_after, fig6_reduced_both."""
    before_after = ["baseline", "adversarial_training"]
    return {"": before_after[:1], "_before_after": before_after}.get(variant, [variant.removeprefix("_")])


def of_compared_models(name):
    """An input: a table of explanations of each model that a figure shows."""
    return lambda wildcards: [
        f"results/{wildcards.dataset}/{model}/explanations/{name}"
        for model in compared_models(wildcards.variant)
    ]


def with_variants(figure):
    """A figure of the baseline for every selected data set, and beside it after adversarial training if selected."""
    variants = ["", "_before_after"] if "adversarial_training" in config["selected_models"] else [""]
    return expand(
        f"results/{{dataset}}/figures/{figure}{{variant}}.pdf",
        dataset=config["selected_datasets"],
        variant=variants,
    )


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
