# The figure and the table of the defences (Sec. VI).
#
# In: ars_by_epoch.csv of the adversarial training; metrics.csv and ars.csv of each selected model.
# Out: results/{dataset}/figures/fig10.{pdf,svg,png} and results/{dataset}/tables/table_defences.{csv,html}.


rule fig10:
    """Fig. 10: robustness over the epochs of adversarial training."""
    input:
        expand("results/{dataset}/figures/fig10.pdf", dataset=config["selected_datasets"]),


rule table_defences:
    """What each defence costs in detection and buys in robustness."""
    input:
        expand("results/{dataset}/tables/table_defences.html", dataset=config["selected_datasets"]),


rule plot_fig10:
    """Fig. 10 of one data set."""
    input:
        scores="results/{dataset}/adversarial_training/ars_by_epoch.csv",
    output:
        pdf="results/{dataset}/figures/fig10.pdf",
        svg=report(
            "results/{dataset}/figures/fig10.svg",
            caption="../report/fig10.rst",
            category="Defences",
            labels={"data set": "{dataset}", "shows": "Fig. 10: adversarial training"},
        ),
        png="results/{dataset}/figures/fig10.png",
    log:
        "results/{dataset}/logs/plot_fig10.log",
    benchmark:
        "results/{dataset}/benchmarks/plot_fig10.tsv"
    conda:
        "../../envs/plot.yaml"
    resources:
        runtime=growing(30),
        mem_mb=growing(2000),
    params:
        script=script("plot_fig10.py"),
        code=code("plot_fig10.py"),
    shell:
        "python {params.script:q} --scores {input.scores:q} --output {output.pdf:q} --svg {output.svg:q}"
        " --png {output.png:q} 2> {log:q}"


rule tabulate_defences:
    """Detection and robustness of the models of one data set; the flow statistics, which have no ARS, last."""
    input:
        metrics=expand(
            "results/{{dataset}}/{model}/metrics.csv",
            model=[*config["selected_models"], "flow_statistics"],
        ),
        ars=expand("results/{{dataset}}/{model}/ars.csv", model=config["selected_models"]),
    output:
        csv="results/{dataset}/tables/table_defences.csv",
        html=report(
            "results/{dataset}/tables/table_defences.html",
            caption="../report/table_defences.rst",
            category="Defences",
            labels={"data set": "{dataset}", "shows": "Cost and gain of defences"},
        ),
    log:
        "results/{dataset}/logs/tabulate_defences.log",
    benchmark:
        "results/{dataset}/benchmarks/tabulate_defences.tsv"
    conda:
        "../../envs/plot.yaml"
    resources:
        runtime=growing(30),
        mem_mb=growing(2000),
    params:
        script=script("tabulate_defences.py"),
        code=code("tabulate_defences.py"),
    shell:
        "python {params.script:q} --metrics {input.metrics:q} --ars {input.ars:q} --dataset {wildcards.dataset}"
        " --output {output.csv:q} --html {output.html:q} 2> {log:q}"
