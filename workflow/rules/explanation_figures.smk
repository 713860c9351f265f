# The tables and figures of the explanations (Sec. V).
#
# In: the CSV files of explanations.smk, and the paper's printed numbers (resources/paper).
# Out: results/{dataset}/tables/table3.{csv,html} and results/{dataset}/figures/fig*.{pdf,svg,png}.


rule table3:
    """Table III: accuracy drop by input perturbation and by feature dropout."""
    input:
        expand("results/{dataset}/tables/table3.html", dataset=config["selected_datasets"]),


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
    params:
        script=script("tabulate_table3.py"),
        code=code("tabulate_table3.py"),
    shell:
        "python {params.script:q} --input-perturbation {input.input_perturbation:q}"
        " --feature-dropout {input.feature_dropout:q} --paper {input.paper:q} --dataset {wildcards.dataset}"
        " --output {output.csv:q} --html {output.html:q} 2> {log:q}"


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
    params:
        script=script("plot_fig9.py"),
        code=code("plot_fig9.py"),
    shell:
        "python {params.script:q} --trajectories {input.trajectories:q} --output {output.pdf:q}"
        " --svg {output.svg:q} --png {output.png:q} 2> {log:q}"
