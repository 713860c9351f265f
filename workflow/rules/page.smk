# One page of all results of a data set, for any browser.
#
# In: every table and figure of the data set, and what its charts show: summary.csv of CW, budget.csv, sequential_*.csv
# and flow_samples.csv. Out: results/{dataset}/index.html, which links to the files beside it.

import hashlib
import re

# The tables and figures of `all`; those of other models and recordings are added below.
PAGE_TABLES = [
    "table1",
    "label_audit",
    "table2",
    "table3",
    "detection",
    "agreement",
    "sanity",
    "table_defences",
    "ars",
]
PAGE_TABLES += ["attacks", "round_trip", "jitter", "paper_comparison", "latency"]
PAGE_FIGURES = [
    "fig1",
    "fig2",
    "fig3",
    "fig4",
    "fig5",
    "fig9",
    "fig10",
    "fig_detection",
    "fig_steps",
    "pair_scores",
]
PAGE_FIGURES += ["shapley", "agreement", "budget", "jitter", "latency"]
PAGE_CSV = ["label_audit", "paper_comparison", "baseline/attacks/cw/summary"]


rule page:
    """One page of all results, for any browser, offline: verdict, tables, figures, interactive charts."""
    input:
        expand("results/{dataset}/index.html", dataset=config["selected_datasets"]),


def page_tables(wildcards):
    """Tables for people and for programs."""
    names = [*PAGE_TABLES, *(["transfer"] if transferred(wildcards.dataset) else [])]
    apart = ("label_audit", "paper_comparison")  # whose CSV files lie elsewhere
    return [f"results/{wildcards.dataset}/tables/{name}.html" for name in names] + [
        f"results/{wildcards.dataset}/tables/{name}.csv" for name in names if name not in apart
    ]


def page_figures(wildcards):
    """Figures in all formats, with those that set models side by side."""
    varied = [path for name in ("fig6", "fig7", "fig8") for path in with_variants(name)]
    names = [*PAGE_FIGURES, *dict.fromkeys(Path(path).stem for path in varied)]
    return [
        f"results/{wildcards.dataset}/figures/{name}.{suffix}"
        for name in names
        for suffix in ("pdf", "svg", "png")
    ]


def page_numbers(wildcards):
    """What verdict and charts show besides the tables."""
    explained = compared_models(
        "_before_after" if "adversarial_training" in config["selected_models"] else ""
    )
    names = PAGE_CSV + [f"{model}/budget" for model in config["selected_models"]]
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
            text = ", ".join(map(str, value)).replace("_", " ") if isinstance(value, list) else value
            found[".".join(names)] = "all" if text is None else text
    return [f"{key}={value}" for key, value in sorted(found.items())]


rule trace_flows:
    """Single flows of each attack type, packet by packet, beside their evasions under the main threat model."""
    input:
        dataset="results/{dataset}/dataset.h5",
        weights="results/{dataset}/{model}/weights.safetensors",
        search=f"results/{{dataset}}/{{model}}/attacks/search/last/{config['selected_threat_models'][0]}.h5",
    output:
        csv="results/{dataset}/{model}/flow_samples.csv",
    log:
        "results/{dataset}/logs/{model}/trace_flows.log",
    benchmark:
        "results/{dataset}/benchmarks/{model}/trace_flows.tsv"
    conda:
        "../../envs/torch.yaml"
    resources:
        **on_gpu(),
        runtime=growing(30),
        mem_mb=growing(4000),
    params:
        script=script("trace_flows.py"),
        code=code("trace_flows.py"),
        unwatched=Unwatched(flags(device=config["device"])),
    shell:
        "python {params.script:q} --dataset {input.dataset:q} --weights {input.weights:q} --search {input.search:q}"
        " --model-name {wildcards.model} --output {output.csv:q} {params.unwatched} 2> {log:q}"


rule make_page:
    """The page of one data set."""
    input:
        page_tables,
        page_figures,
        page_numbers,
    output:
        html="results/{dataset}/index.html",
    log:
        "results/{dataset}/logs/make_page.log",
    benchmark:
        "results/{dataset}/benchmarks/make_page.tsv"
    conda:
        "../../envs/plot.yaml"
    resources:
        runtime=growing(30),
        mem_mb=growing(2000),
    params:
        script=script("make_page.py"),
        code=code("make_page.py"),
        parts=page_files(),
        captions=BASE / "workflow/report",
        settings=flags(settings=caption_settings()),
    shell:
        "python {params.script:q} --files {input:q} --captions {params.captions:q} --dataset {wildcards.dataset}"
        " --output {output.html:q} {params.settings} 2> {log:q}"
