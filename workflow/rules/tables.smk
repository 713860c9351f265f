# The paper's tables, and those beside them.
#
# In: the CSV files of the stages before, and the paper's printed numbers (resources/paper).
# Out: results/{dataset}/tables/*.{csv,html,tex}.
# A target of each name makes it for every selected data set; tabulate_* makes it for one.


rule table1:
    """Table I: how often each attack type occurs."""
    input:
        expand("results/{dataset}/tables/table1.html", dataset=config["selected_datasets"]),


rule table2:
    """Table II: accuracy, precision, recall, F1 and Youden's J per packet and per flow."""
    input:
        expand("results/{dataset}/tables/table2.html", dataset=config["selected_datasets"]),


rule table3:
    """Table III: accuracy drop by input perturbation and by feature dropout."""
    input:
        expand("results/{dataset}/tables/table3.html", dataset=config["selected_datasets"]),


rule table_defences:
    """What each defence costs in detection and buys in robustness."""
    input:
        expand("results/{dataset}/tables/table_defences.html", dataset=config["selected_datasets"]),


rule table_detection:
    """Recall per attack type at 1 % and 0.1 % false alarms, and false alarms an hour."""
    input:
        expand("results/{dataset}/tables/detection.html", dataset=config["selected_datasets"]),


rule table_agreement:
    """Do explanations predict attacks? Rank correlation of each method with attacks on single features and positions."""
    input:
        expand("results/{dataset}/tables/agreement.html", dataset=config["selected_datasets"]),
        expand("results/{dataset}/figures/agreement.pdf", dataset=config["selected_datasets"]),


rule sanity:
    """Which explanation passes which sanity check: planted feature, random weights, permuted labels, deletion, insertion."""
    input:
        expand("results/{dataset}/tables/sanity.html", dataset=config["selected_datasets"]),


rule paper_comparison:
    """Every number that the paper prints, beside ours."""
    input:
        expand("results/{dataset}/tables/paper_comparison.html", dataset=config["selected_datasets"]),


rule tabulate_table1:
    """A table of one data set, CSV and HTML; those below differ in what they read and show."""
    input:
        counts="results/{dataset}/attack_counts.csv",
        paper=locate("resources/paper/table1.csv"),
    output:
        **table("table1", "Data and detection", "Table I: attack types"),
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
        inputs=inputs_by_name,
    shell:
        "python {params.script:q} {params.inputs} --dataset {wildcards.dataset} --output {output.csv:q}"
        " --html {output.html:q} --latex {output.tex:q} 2> {log:q}"


use rule tabulate_table1 as tabulate_table2 with:
    input:
        metrics=expand(
            "results/{{dataset}}/{model}/metrics.csv", model=[*config["selected_models"], "flow_statistics"]
        ),
        paper=locate("resources/paper/table2.csv"),
    output:
        **table("table2", "Data and detection", "Table II: metrics"),
    log:
        "results/{dataset}/logs/tabulate_table2.log",
    benchmark:
        "results/{dataset}/benchmarks/tabulate_table2.tsv"
    params:
        script=script("tabulate_table2.py"),
        code=code("tabulate_table2.py"),


use rule tabulate_table1 as tabulate_table3 with:
    input:
        input_perturbation="results/{dataset}/baseline/explanations/input_perturbation.csv",
        feature_dropout="results/{dataset}/feature_dropout/explanations/feature_dropout.csv",
        paper=locate("resources/paper/table3.csv"),
    output:
        **table("table3", "Explanations", "Table III: accuracy drops"),
    log:
        "results/{dataset}/logs/tabulate_table3.log",
    benchmark:
        "results/{dataset}/benchmarks/tabulate_table3.tsv"
    params:
        script=script("tabulate_table3.py"),
        code=code("tabulate_table3.py"),


use rule tabulate_table1 as tabulate_defences with:
    input:
        metrics=expand(
            "results/{{dataset}}/{model}/metrics.csv",
            model=[*config["selected_models"], "flow_statistics"],
        ),
        ars=expand("results/{{dataset}}/{model}/ars.csv", model=config["selected_models"]),
        confusion=expand("results/{{dataset}}/{model}/confusion.csv", model=config["selected_models"]),
        predictions=expand("results/{{dataset}}/{model}/predictions.h5", model=config["selected_models"]),
    output:
        **table("table_defences", "Defences", "Cost and gain of defences"),
    log:
        "results/{dataset}/logs/tabulate_defences.log",
    benchmark:
        "results/{dataset}/benchmarks/tabulate_defences.tsv"
    conda:
        "../../envs/torch.yaml"
    params:
        script=script("tabulate_defences.py"),
        code=code("tabulate_defences.py"),


use rule tabulate_table1 as tabulate_comparison with:
    input:
        **{name: locate(f"resources/paper/{name}.csv") for name in ("table1", "table2", "table3", "text")},
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
        **table(
            "paper_comparison",
            "Data and detection",
            "The paper's numbers and ours",
            csv="results/{dataset}/paper_comparison.csv",
        ),
    log:
        "results/{dataset}/logs/tabulate_comparison.log",
    benchmark:
        "results/{dataset}/benchmarks/tabulate_comparison.tsv"
    params:
        script=script("tabulate_comparison.py"),
        code=code("tabulate_comparison.py"),


use rule tabulate_table1 as tabulate_detection with:
    input:
        operating_points="results/{dataset}/operating_points.csv",
    output:
        **table(
            "detection",
            "Data and detection",
            "Detection at rates of false alarms",
            caption="table_detection",
        ),
    log:
        "results/{dataset}/logs/tabulate_detection.log",
    benchmark:
        "results/{dataset}/benchmarks/tabulate_detection.tsv"
    params:
        script=script("tabulate_detection.py"),
        code=code("tabulate_detection.py"),


rule tabulate_agreement:
    """Whether explanations of one data set's baseline predict attacks on it."""
    input:
        cells=["results/{dataset}/baseline/explanations/agreement_cells.csv"],
        moves=["results/{dataset}/baseline/explanations/agreement_moves.csv"],
    output:
        **table("agreement", "Explanations", "Do explanations predict attacks?", caption="table_agreement"),
        by_type="results/{dataset}/tables/agreement_by_type.csv",
    log:
        "results/{dataset}/logs/tabulate_agreement.log",
    benchmark:
        "results/{dataset}/benchmarks/tabulate_agreement.tsv"
    conda:
        "../../envs/torch.yaml"
    resources:
        runtime=growing(30),
        mem_mb=growing(2000),
    params:
        script=script("tabulate_agreement.py"),
        code=code("tabulate_agreement.py"),
        inputs=inputs_by_name,
        seed=config["seed"],
    shell:
        "python {params.script:q} {params.inputs} --dataset {wildcards.dataset} --seed {params.seed}"
        " --output {output.csv:q} --by-type {output.by_type:q} --html {output.html:q} --latex {output.tex:q} 2> {log:q}"


use rule tabulate_table1 as tabulate_sanity with:
    input:
        sanity="results/{dataset}/feature_dropout/explanations/sanity.csv",
    output:
        **table("sanity", "Explanations", "Sanity checks of explanations"),
    log:
        "results/{dataset}/logs/tabulate_sanity.log",
    benchmark:
        "results/{dataset}/benchmarks/tabulate_sanity.tsv"
    params:
        script=script("tabulate_sanity.py"),
        code=code("tabulate_sanity.py"),
