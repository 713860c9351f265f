# The tables and figures of the explanations (Sec. V).
#
# In: the CSV files of explanations.smk, and the paper's printed numbers (resources/paper).
# Out: results/{dataset}/tables/table3.{csv,html} and results/{dataset}/figures/{fig*,pair_scores}.{pdf,svg,png}.


rule table3:
    """Table III: accuracy drop by input perturbation and by feature dropout."""
    input:
        expand("results/{dataset}/tables/table3.html", dataset=config["selected_datasets"]),


rule fig4:
    """Fig. 4: importance of the features by all metrics."""
    input:
        expand("results/{dataset}/figures/fig4.pdf", dataset=config["selected_datasets"]),


rule pair_scores:
    """Pair scores (Eq. 4): how much of what one feature knows another knows as well."""
    input:
        expand("results/{dataset}/figures/pair_scores.pdf", dataset=config["selected_datasets"]),


rule fig5:
    """Fig. 5: two distributions of equal accuracy and different mutual information."""
    input:
        expand("results/{dataset}/figures/fig5.pdf", dataset=config["selected_datasets"]),


rule fig6:
    """Fig. 6: partial dependence on the ports, per attack type."""
    input:
        expand("results/{dataset}/figures/fig6.pdf", dataset=config["selected_datasets"]),


rule fig7:
    """Fig. 7: confidence after each packet, per attack type."""
    input:
        expand("results/{dataset}/figures/fig7.pdf", dataset=config["selected_datasets"]),


rule fig8:
    """Fig. 8: sequential partial dependence, with original and adversarial flows."""
    input:
        expand("results/{dataset}/figures/fig8.pdf", dataset=config["selected_datasets"]),


rule fig9:
    """Fig. 9: lengths and interarrival times over the packets of a flow."""
    input:
        expand("results/{dataset}/figures/fig9.pdf", dataset=config["selected_datasets"]),


rule tabulate_table3:
    """Table III of one data set, beside the paper's."""
    input:
        input_perturbation="results/{dataset}/baseline/explanations/input_perturbation.csv",
        feature_dropout="results/{dataset}/feature_dropout/explanations/feature_dropout.csv",
        paper=locate("resources/paper/table3.csv"),
    output:
        csv="results/{dataset}/tables/table3.csv",
        html=report(
            "results/{dataset}/tables/table3.html",
            caption="../report/table3.rst",
            category="Explanations",
            labels={"data set": "{dataset}", "shows": "Table III: accuracy drops"},
        ),
    log:
        "results/{dataset}/logs/tabulate_table3.log",
    benchmark:
        "results/{dataset}/benchmarks/tabulate_table3.tsv"
    conda:
        "../../envs/plot.yaml"
    resources:
        runtime=growing(30),
        mem_mb=growing(2000),
    params:
        script=script("tabulate_table3.py"),
        code=code("tabulate_table3.py"),
    shell:
        "python {params.script:q} --input-perturbation {input.input_perturbation:q}"
        " --feature-dropout {input.feature_dropout:q} --paper {input.paper:q} --dataset {wildcards.dataset}"
        " --output {output.csv:q} --html {output.html:q} 2> {log:q}"


rule plot_fig4:
    """Fig. 4 of one data set."""
    input:
        importance=[
            "results/{dataset}/baseline/explanations/weights.csv",
            "results/{dataset}/baseline/explanations/input_perturbation.csv",
            "results/{dataset}/feature_dropout/explanations/feature_dropout.csv",
            "results/{dataset}/baseline/explanations/mutual_information.csv",
        ],
    output:
        pdf="results/{dataset}/figures/fig4.pdf",
        svg=report(
            "results/{dataset}/figures/fig4.svg",
            caption="../report/fig4.rst",
            category="Explanations",
            labels={"data set": "{dataset}", "shows": "Fig. 4: importance of features"},
        ),
        png="results/{dataset}/figures/fig4.png",
    log:
        "results/{dataset}/logs/plot_fig4.log",
    benchmark:
        "results/{dataset}/benchmarks/plot_fig4.tsv"
    conda:
        "../../envs/plot.yaml"
    resources:
        runtime=growing(30),
        mem_mb=growing(2000),
    params:
        script=script("plot_fig4.py"),
        code=code("plot_fig4.py"),
    shell:
        "python {params.script:q} --importance {input.importance:q} --output {output.pdf:q}"
        " --svg {output.svg:q} --png {output.png:q} 2> {log:q}"


rule plot_pair_scores:
    """Scores of all pairs of features, of one data set."""
    input:
        pair_scores="results/{dataset}/feature_dropout/explanations/pair_scores.csv",
    output:
        pdf="results/{dataset}/figures/pair_scores.pdf",
        svg=report(
            "results/{dataset}/figures/pair_scores.svg",
            caption="../report/pair_scores.rst",
            category="Explanations",
            labels={"data set": "{dataset}", "shows": "Eq. 4: pair scores"},
        ),
        png="results/{dataset}/figures/pair_scores.png",
    log:
        "results/{dataset}/logs/plot_pair_scores.log",
    benchmark:
        "results/{dataset}/benchmarks/plot_pair_scores.tsv"
    conda:
        "../../envs/plot.yaml"
    resources:
        runtime=growing(30),
        mem_mb=growing(2000),
    params:
        script=script("plot_pair_scores.py"),
        code=code("plot_pair_scores.py"),
    shell:
        "python {params.script:q} --pair-scores {input.pair_scores:q} --output {output.pdf:q}"
        " --svg {output.svg:q} --png {output.png:q} 2> {log:q}"


rule plot_fig5:
    """Fig. 5 of one data set."""
    input:
        distributions="results/fig5.csv",
    output:
        pdf="results/{dataset}/figures/fig5.pdf",
        svg=report(
            "results/{dataset}/figures/fig5.svg",
            caption="../report/fig5.rst",
            category="Explanations",
            labels={"data set": "{dataset}", "shows": "Fig. 5: equal accuracy"},
        ),
        png="results/{dataset}/figures/fig5.png",
    log:
        "results/{dataset}/logs/plot_fig5.log",
    benchmark:
        "results/{dataset}/benchmarks/plot_fig5.tsv"
    conda:
        "../../envs/plot.yaml"
    resources:
        runtime=growing(30),
        mem_mb=growing(2000),
    params:
        script=script("plot_fig5.py"),
        code=code("plot_fig5.py"),
    shell:
        "python {params.script:q} --distributions {input.distributions:q} --output {output.pdf:q}"
        " --svg {output.svg:q} --png {output.png:q} 2> {log:q}"


rule plot_fig6:
    """Fig. 6 of one data set."""
    input:
        dependence="results/{dataset}/baseline/explanations/pdp.csv",
        values="results/{dataset}/baseline/explanations/pdp_values.csv",
    output:
        pdf="results/{dataset}/figures/fig6.pdf",
        svg=report(
            "results/{dataset}/figures/fig6.svg",
            caption="../report/fig6.rst",
            category="Explanations",
            labels={"data set": "{dataset}", "shows": "Fig. 6: partial dependence"},
        ),
        png="results/{dataset}/figures/fig6.png",
    log:
        "results/{dataset}/logs/plot_fig6.log",
    benchmark:
        "results/{dataset}/benchmarks/plot_fig6.tsv"
    conda:
        "../../envs/plot.yaml"
    resources:
        runtime=growing(30),
        mem_mb=growing(2000),
    params:
        script=script("plot_fig6.py"),
        code=code("plot_fig6.py"),
    shell:
        "python {params.script:q} --dependence {input.dependence:q} --values {input.values:q}"
        " --output {output.pdf:q} --svg {output.svg:q} --png {output.png:q} 2> {log:q}"


rule plot_fig7:
    """Fig. 7 of one data set."""
    input:
        confidence="results/{dataset}/baseline/explanations/confidence.csv",
    output:
        pdf="results/{dataset}/figures/fig7.pdf",
        svg=report(
            "results/{dataset}/figures/fig7.svg",
            caption="../report/fig7.rst",
            category="Explanations",
            labels={"data set": "{dataset}", "shows": "Fig. 7: confidence per packet"},
        ),
        png="results/{dataset}/figures/fig7.png",
    log:
        "results/{dataset}/logs/plot_fig7.log",
    benchmark:
        "results/{dataset}/benchmarks/plot_fig7.tsv"
    conda:
        "../../envs/plot.yaml"
    resources:
        runtime=growing(30),
        mem_mb=growing(2000),
    params:
        script=script("plot_fig7.py"),
        code=code("plot_fig7.py"),
    shell:
        "python {params.script:q} --confidence {input.confidence:q} --output {output.pdf:q}"
        " --svg {output.svg:q} --png {output.png:q} 2> {log:q}"


rule plot_fig8:
    """Fig. 8 of one data set."""
    input:
        dependence="results/{dataset}/baseline/explanations/sequential_pdp.csv",
        means="results/{dataset}/baseline/explanations/sequential_means.csv",
    output:
        pdf="results/{dataset}/figures/fig8.pdf",
        svg=report(
            "results/{dataset}/figures/fig8.svg",
            caption="../report/fig8.rst",
            category="Explanations",
            labels={"data set": "{dataset}", "shows": "Fig. 8: sequential dependence"},
        ),
        png="results/{dataset}/figures/fig8.png",
    log:
        "results/{dataset}/logs/plot_fig8.log",
    benchmark:
        "results/{dataset}/benchmarks/plot_fig8.tsv"
    conda:
        "../../envs/plot.yaml"
    resources:
        runtime=growing(30),
        mem_mb=growing(2000),
    params:
        script=script("plot_fig8.py"),
        code=code("plot_fig8.py"),
    shell:
        "python {params.script:q} --dependence {input.dependence:q} --means {input.means:q}"
        " --output {output.pdf:q} --svg {output.svg:q} --png {output.png:q} 2> {log:q}"


rule plot_fig9:
    """Fig. 9 of one data set."""
    input:
        trajectories="results/{dataset}/trajectories.csv",
    output:
        pdf="results/{dataset}/figures/fig9.pdf",
        svg=report(
            "results/{dataset}/figures/fig9.svg",
            caption="../report/fig9.rst",
            category="Explanations",
            labels={"data set": "{dataset}", "shows": "Fig. 9: flows over time"},
        ),
        png="results/{dataset}/figures/fig9.png",
    log:
        "results/{dataset}/logs/plot_fig9.log",
    benchmark:
        "results/{dataset}/benchmarks/plot_fig9.tsv"
    conda:
        "../../envs/plot.yaml"
    resources:
        runtime=growing(30),
        mem_mb=growing(2000),
    params:
        script=script("plot_fig9.py"),
        code=code("plot_fig9.py"),
    shell:
        "python {params.script:q} --trajectories {input.trajectories:q} --output {output.pdf:q}"
        " --svg {output.svg:q} --png {output.png:q} 2> {log:q}"
