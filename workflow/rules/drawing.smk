# What rules have in common: options of the names of their inputs and outputs, the outputs of tables and figures, and what
# the results page shows of them.

import hashlib
import re

# The tables and figures of `all`; those of other models and recordings are added below.
PAGE_TABLES = "table1 label_audit table2 table3 detection agreement sanity table_defences ars attacks".split()
PAGE_TABLES += "round_trip jitter paper_comparison latency".split()
PAGE_FIGURES = "fig1 fig2 fig3 fig4 fig5 fig9 fig10 fig_detection fig_steps pair_scores shapley".split()
PAGE_FIGURES += "agreement budget jitter latency".split()
PAGE_CSV = ["label_audit", "paper_comparison", "baseline/attacks/cw/summary"]


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


def variants():
    """Of figures that can set models side by side: the baseline, and beside it after adversarial training if selected."""
    return ["", "_before_after"] if "adversarial_training" in config["selected_models"] else [""]


def with_variants(figure):
    """A figure for every selected data set, in all variants."""
    return expand(
        f"results/{{dataset}}/figures/{figure}{{variant}}.pdf",
        dataset=config["selected_datasets"],
        variant=variants(),
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
    html = in_report(f"{path}.html", caption or name, category, shows)
    return {"csv": csv or f"{path}.csv", "html": html, "tex": f"{path}.tex"}


def figure_size():
    """Options of a figure's script: how wide it is in print."""
    figures = config["figures"]
    return flags(width=figures.get(figures["width"]))


def page_of_seeds(name):
    """A name in a list, where models are trained with several seeds; else an empty list."""
    return [name] if several_trainings() else []


def page_tables(wildcards):
    """Tables for people, for papers and for programs."""
    names = [*PAGE_TABLES, *(["transfer"] if transferred(wildcards.dataset) else []), *page_of_seeds("seeds")]
    apart = ("label_audit", "paper_comparison")  # whose CSV files lie elsewhere
    shown = [
        f"results/{wildcards.dataset}/tables/{name}.{suffix}" for name in names for suffix in ("html", "tex")
    ]
    return shown + [f"results/{wildcards.dataset}/tables/{name}.csv" for name in names if name not in apart]


def page_figures(wildcards):
    """Figures in all formats, with those that set models side by side."""
    varied = [path for name in ("fig6", "fig7", "fig8") for path in with_variants(name)]
    names = [*PAGE_FIGURES, *page_of_seeds("seeds"), *dict.fromkeys(Path(path).stem for path in varied)]
    return [
        f"results/{wildcards.dataset}/figures/{name}.{suffix}"
        for name in names
        for suffix in ("pdf", "svg", "png")
    ]


def page_numbers(wildcards):
    """What verdict and charts show besides the tables."""
    explained = compared_models(variants()[-1])
    names = (
        PAGE_CSV
        + page_of_seeds("seed_conclusions")
        + [f"{model}/budget" for model in config["selected_models"]]
    )
    names += [
        f"{model}/{name}"
        for model in explained
        for name in ("explanations/sequential_pdp", "explanations/sequential_means", "flow_samples")
    ]
    return [f"results/{wildcards.dataset}/{name}.csv" for name in names]


def page_files():
    """Digest of all files beside the code that the page is made of."""
    files = sorted(path for path in script("page").rglob("*") if path.is_file())
    files += sorted((BASE / "workflow/report").glob("*.rst"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]


def caption_settings():
    """The values of the configuration that captions of the report name, as KEY=VALUE: a list in words, null as all."""
    found = {}
    for path in sorted((BASE / "workflow/report").glob("*.rst")):
        for keys in re.findall(r'snakemake\.config((?:\["\w+"\])+)', path.read_text(encoding="utf-8")):
            names = re.findall(r'"(\w+)"', keys)
            value = config
            for name in names:
                value = value[name]
            text = ", ".join(map(str, value)).replace("_", " ") if isinstance(value, list) else as_text(value)
            found[".".join(names)] = "all" if value is None else text
    return [f"{key}={value}" for key, value in sorted(found.items())]
