# Across data sets: detectors on another recording than they were trained on, evaluated, attacked and explained.
#
# In: dataset.h5 of the data sets that `transfer` names, and weights.safetensors of detectors trained on one of them.
# Out: results/{training sets}_to_{test set}/dataset.h5, on which every rule works as on any data set, with the weights
# of those detectors; results/{dataset}/tables/transfer.{csv,html,tex}, of the first training set.


rule table_transfer:
    """Detection, robustness and importance of features on another recording, beside those on the detector's own."""
    input:
        [
            f"results/{dataset}/tables/transfer.html"
            for dataset in config["selected_datasets"]
            if transferred(dataset)
        ],


rule combine_datasets:
    """Training flows of some data sets and test flows of another, normalised by the former."""
    input:
        train=lambda wildcards: expand(
            "results/{name}/dataset.h5", name=transfers()[wildcards.dataset]["trained_on"]
        ),
        test=lambda wildcards: f"results/{transfers()[wildcards.dataset]['tested_on']}/dataset.h5",
    output:
        dataset="results/{dataset}/dataset.h5",
    log:
        "results/{dataset}/logs/combine_datasets.log",
    benchmark:
        "results/{dataset}/benchmarks/combine_datasets.tsv"
    wildcard_constraints:
        dataset=one_of(transfers()),
    conda:
        "../../envs/flows.yaml"
    resources:
        runtime=growing(60),
        mem_mb=growing(16000),
    params:
        script=script("combine_datasets.py"),
        code=code("combine_datasets.py"),
    shell:
        "python {params.script:q} --train {input.train:q} --test {input.test:q} --output {output.dataset:q} 2> {log:q}"


rule copy_weights:
    """A detector that was trained on one data set, for its use on another."""
    input:
        weights=lambda wildcards: expand(
            "results/{name}/{model}/weights.safetensors",
            name=transfers()[wildcards.dataset]["trained_on"],
            model=wildcards.model,
        ),
    output:
        weights="results/{dataset}/{model}/weights.safetensors",
    log:
        "results/{dataset}/logs/{model}/copy_weights.log",
    wildcard_constraints:
        dataset=one_of(copied_transfers()),
    conda:
        "../../envs/flows.yaml"
    resources:
        runtime=growing(10),
        mem_mb=growing(1000),
    shell:
        "cp -v {input.weights:q} {output.weights:q} > {log:q} 2>&1"


rule tabulate_transfer:
    """What becomes of detection, robustness and importance on other recordings, for one training set."""
    input:
        metrics=lambda wildcards: transfer_files(wildcards.dataset, "metrics.csv"),
        confusion=lambda wildcards: transfer_files(wildcards.dataset, "confusion.csv"),
        recall=lambda wildcards: transfer_files(wildcards.dataset, "recall.csv"),
        ars=lambda wildcards: transfer_files(wildcards.dataset, "ars.csv", model="baseline"),
        importance=lambda wildcards: transfer_files(
            wildcards.dataset, "explanations/input_perturbation.csv", model="baseline"
        ),
        audit="results/{dataset}/label_audit.csv",
    output:
        **table("transfer", "Data and detection", "Across data sets", caption="table_transfer"),
    log:
        "results/{dataset}/logs/tabulate_transfer.log",
    benchmark:
        "results/{dataset}/benchmarks/tabulate_transfer.tsv"
    conda:
        "../../envs/plot.yaml"
    resources:
        runtime=growing(30),
        mem_mb=growing(2000),
    params:
        script=script("tabulate_transfer.py"),
        code=code("tabulate_transfer.py"),
        inputs=inputs_by_name,
        rows=lambda wildcards: transfer_rows(wildcards.dataset),
    shell:
        "python {params.script:q} {params.inputs} {params.rows} --output {output.csv:q} --html {output.html:q} --latex {output.tex:q} 2> {log:q}"
