# The paper's tables and figures.
#
# In: the CSV files of the stages before, and the paper's printed numbers (resources/paper).
# Out: results/{dataset}/tables/table*.{csv,html} and results/{dataset}/figures/fig*.{pdf,svg,png}.
# A target of each name makes it for every selected data set; tabulate_* and plot_* make it for one.


rule table1:
    """Table I: how often each attack type occurs."""
    input:
        expand("results/{dataset}/tables/table1.html", dataset=config["selected_datasets"]),


rule table2:
    """Table II: accuracy, precision, recall, F1 and Youden's J per packet and per flow."""
    input:
        expand("results/{dataset}/tables/table2.html", dataset=config["selected_datasets"]),


rule paper_comparison:
    """Every number that the paper prints, beside ours."""
    input:
        expand("results/{dataset}/tables/paper_comparison.html", dataset=config["selected_datasets"]),


rule fig1:
    """Fig. 1: detection of attack flows, unmodified and under each attack."""
    input:
        expand("results/{dataset}/figures/fig1.pdf", dataset=config["selected_datasets"]),


rule fig2:
    """Fig. 2: success ratio and distance of the CW attack over kappa."""
    input:
        expand("results/{dataset}/figures/fig2.pdf", dataset=config["selected_datasets"]),


rule fig2_published:
    """Fig. 2 with the attack as the authors ran it; not among the defaults, as it takes long."""
    input:
        expand("results/{dataset}/figures/fig2_published.pdf", dataset=config["selected_datasets"]),


rule fig3:
    """Fig. 3: recall and Adversarial Robustness Score per attack type."""
    input:
        expand("results/{dataset}/figures/fig3.pdf", dataset=config["selected_datasets"]),


rule tabulate_table1:
    """Table I of one data set, beside the paper's."""
    input:
        counts="results/{dataset}/attack_counts.csv",
        paper=locate("resources/paper/table1.csv"),
    output:
        csv="results/{dataset}/tables/table1.csv",
        html=report(
            "results/{dataset}/tables/table1.html",
            caption="../report/table1.rst",
            category="Data and detection",
            labels={"data set": "{dataset}", "shows": "Table I: attack types"},
        ),
    log:
        "results/{dataset}/logs/tabulate_table1.log",
    benchmark:
        "results/{dataset}/benchmarks/tabulate_table1.tsv"
    conda:
        "../../envs/plot.yaml"
    resources:
        runtime=growing(30),
        mem_mb=growing(2000),
    params:
        script=script("tabulate_table1.py"),
        code=code("tabulate_table1.py"),
    shell:
        "python {params.script:q} --counts {input.counts:q} --paper {input.paper:q} --dataset {wildcards.dataset}"
        " --output {output.csv:q} --html {output.html:q} 2> {log:q}"


rule tabulate_table2:
    """Table II of one data set, of each selected model and the flow statistics, beside the paper's."""
    input:
        metrics=expand(
            "results/{{dataset}}/{model}/metrics.csv", model=[*config["selected_models"], "flow_statistics"]
        ),
        paper=locate("resources/paper/table2.csv"),
    output:
        csv="results/{dataset}/tables/table2.csv",
        html=report(
            "results/{dataset}/tables/table2.html",
            caption="../report/table2.rst",
            category="Data and detection",
            labels={"data set": "{dataset}", "shows": "Table II: metrics"},
        ),
    log:
        "results/{dataset}/logs/tabulate_table2.log",
    benchmark:
        "results/{dataset}/benchmarks/tabulate_table2.tsv"
    conda:
        "../../envs/plot.yaml"
    resources:
        runtime=growing(30),
        mem_mb=growing(2000),
    params:
        script=script("tabulate_table2.py"),
        code=code("tabulate_table2.py"),
    shell:
        "python {params.script:q} --metrics {input.metrics:q} --paper {input.paper:q} --dataset {wildcards.dataset}"
        " --output {output.csv:q} --html {output.html:q} 2> {log:q}"


rule tabulate_comparison:
    """Every number that the paper prints, beside that of one data set."""
    input:
        paper=[locate(f"resources/paper/{name}.csv") for name in ("table1", "table2", "table3", "text")],
        counts="results/{dataset}/attack_counts.csv",
        metrics=expand(
            "results/{{dataset}}/{model}/metrics.csv", model=[*config["selected_models"], "flow_statistics"]
        ),
        importance=[
            "results/{dataset}/baseline/explanations/input_perturbation.csv",
            "results/{dataset}/feature_dropout/explanations/feature_dropout.csv",
        ],
        pair_scores="results/{dataset}/feature_dropout/explanations/pair_scores.csv",
        comparison="results/{dataset}/baseline/attacks/comparison.csv",
    output:
        csv="results/{dataset}/paper_comparison.csv",
        html=report(
            "results/{dataset}/tables/paper_comparison.html",
            caption="../report/paper_comparison.rst",
            category="Data and detection",
            labels={"data set": "{dataset}", "shows": "The paper's numbers and ours"},
        ),
    log:
        "results/{dataset}/logs/tabulate_comparison.log",
    benchmark:
        "results/{dataset}/benchmarks/tabulate_comparison.tsv"
    conda:
        "../../envs/plot.yaml"
    resources:
        runtime=growing(30),
        mem_mb=growing(2000),
    params:
        script=script("tabulate_comparison.py"),
        code=code("tabulate_comparison.py"),
    shell:
        "python {params.script:q} --table1 {input.paper[0]:q} --table2 {input.paper[1]:q} --table3 {input.paper[2]:q}"
        " --text {input.paper[3]:q} --counts {input.counts:q} --metrics {input.metrics:q}"
        " --importance {input.importance:q} --pair-scores {input.pair_scores:q} --comparison {input.comparison:q}"
        " --dataset {wildcards.dataset} --output {output.csv:q} --html {output.html:q} 2> {log:q}"


rule plot_fig1:
    """Fig. 1 of one data set."""
    input:
        comparison="results/{dataset}/baseline/attacks/comparison.csv",
    output:
        pdf="results/{dataset}/figures/fig1.pdf",
        svg=report(
            "results/{dataset}/figures/fig1.svg",
            caption="../report/fig1.rst",
            category="Attacks and robustness",
            labels={"data set": "{dataset}", "shows": "Fig. 1: detection under attack"},
        ),
        png="results/{dataset}/figures/fig1.png",
    log:
        "results/{dataset}/logs/plot_fig1.log",
    benchmark:
        "results/{dataset}/benchmarks/plot_fig1.tsv"
    conda:
        "../../envs/plot.yaml"
    resources:
        runtime=growing(30),
        mem_mb=growing(2000),
    params:
        script=script("plot_fig1.py"),
        code=code("plot_fig1.py"),
    shell:
        "python {params.script:q} --comparison {input.comparison:q} --output {output.pdf:q} --svg {output.svg:q}"
        " --png {output.png:q} 2> {log:q}"


rule plot_fig2:
    """Fig. 2 of one data set, with our settings of the attack or the published ones."""
    input:
        summary="results/{dataset}/baseline/attacks/cw{variant}/summary.csv",
    output:
        pdf="results/{dataset}/figures/fig2{variant}.pdf",
        svg=report(
            "results/{dataset}/figures/fig2{variant}.svg",
            caption="../report/fig2.rst",
            category="Attacks and robustness",
            labels={"data set": "{dataset}", "shows": "Fig. 2{variant}: CW over kappa"},
        ),
        png="results/{dataset}/figures/fig2{variant}.png",
    log:
        "results/{dataset}/logs/plot_fig2{variant}.log",
    benchmark:
        "results/{dataset}/benchmarks/plot_fig2{variant}.tsv"
    wildcard_constraints:
        variant="|_published",
    conda:
        "../../envs/plot.yaml"
    resources:
        runtime=growing(30),
        mem_mb=growing(2000),
    params:
        script=script("plot_fig2.py"),
        code=code("plot_fig2.py"),
    shell:
        "python {params.script:q} --summary {input.summary:q} --output {output.pdf:q} --svg {output.svg:q}"
        " --png {output.png:q} 2> {log:q}"


rule plot_fig3:
    """Fig. 3 of one data set."""
    input:
        recall="results/{dataset}/baseline/recall.csv",
        ars="results/{dataset}/baseline/ars.csv",
    output:
        pdf="results/{dataset}/figures/fig3.pdf",
        svg=report(
            "results/{dataset}/figures/fig3.svg",
            caption="../report/fig3.rst",
            category="Attacks and robustness",
            labels={"data set": "{dataset}", "shows": "Fig. 3: recall and ARS"},
        ),
        png="results/{dataset}/figures/fig3.png",
    log:
        "results/{dataset}/logs/plot_fig3.log",
    benchmark:
        "results/{dataset}/benchmarks/plot_fig3.tsv"
    conda:
        "../../envs/plot.yaml"
    resources:
        runtime=growing(30),
        mem_mb=growing(2000),
    params:
        script=script("plot_fig3.py"),
        code=code("plot_fig3.py"),
    shell:
        "python {params.script:q} --recall {input.recall:q} --ars {input.ars:q} --output {output.pdf:q}"
        " --svg {output.svg:q} --png {output.png:q} 2> {log:q}"
