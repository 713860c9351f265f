# The detector at work: alerts on captures without labels.
#
# In: results/{dataset}/{model}/weights.safetensors, and the captures under `unlabelled`.
# Out: results/{dataset}/{model}/alerts/{capture}.jsonl with a summary.


rule alerts:
    """Alerts on the captures under `unlabelled`, by the baseline of their data set."""
    input:
        [
            f"results/{dataset}/baseline/alerts/{capture}.jsonl"
            for dataset in config["selected_datasets"]
            for capture in unlabelled(dataset)
        ],


rule detect:
    """Alerts of a detector on one capture, which needs no labels."""
    input:
        pcap=unlabelled_file,
        weights="results/{dataset}/{model}/weights.safetensors",
        dataset="results/{dataset}/dataset.h5",  # a rate of false alarms is measured on it
    output:
        alerts="results/{dataset}/{model}/alerts/{capture}.jsonl",
        summary="results/{dataset}/{model}/alerts/{capture}.json",
    log:
        "results/{dataset}/logs/{model}/detect/{capture}.log",
    benchmark:
        "results/{dataset}/benchmarks/{model}/detect/{capture}.tsv"
    conda:
        "../../envs/torch.yaml"
    resources:
        **on_gpu(),
        runtime=growing(720),
        mem_mb=growing(4000),
    params:
        script=script("detect.py"),
        code=code("detect.py"),
        options=lambda wildcards: detection_options(wildcards.dataset, wildcards.capture),
        unwatched=unwatched(config["detection"], "state_memory"),
    shell:
        "python {params.script:q} --pcap {input.pcap:q} --weights {input.weights:q} --dataset {input.dataset:q}"
        " --output {output.alerts:q} --summary {output.summary:q} {params.options} {params.unwatched} 2> {log:q}"
