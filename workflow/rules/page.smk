# One page of all results of a data set, for any browser.
#
# In: every table and figure of the data set, and what its charts show: summary.csv of CW, budget.csv, sequential_*.csv
# and flow_samples.csv. Out: results/{dataset}/index.html, which links to the files beside it.


rule page:
    """One page of all results, for any browser, offline: verdict, tables, figures, interactive charts."""
    input:
        expand("results/{dataset}/index.html", dataset=selected_captured()),


rule trace_flows:
    """Single flows of each attack type, packet by packet, beside their evasions under the main threat model."""
    input:
        dataset="results/{dataset}/dataset.h5",
        weights="results/{dataset}/{model}/weights.safetensors",
        search=f"results/{{dataset}}/{{model}}/attacks/search/last/{main_threat_model()}.h5",
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
