# The detector at work: alerts on captures without labels, and how early alarms come.
#
# In: results/{dataset}/{model}/weights.safetensors, the captures under `unlabelled`, and adversarial flows.
# Out: results/{dataset}/{model}/alerts/{capture}.jsonl with a summary; {model}/latency.csv and alarms_by_packet.csv,
# and of the baseline results/{dataset}/tables/latency.{csv,html,tex} and results/{dataset}/figures/latency.{pdf,svg,png}.


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


rule table_latency:
    """Packets, bytes and time until the first alarm, by alarm rule, unmodified and under attack."""
    input:
        expand("results/{dataset}/tables/latency.html", dataset=config["selected_datasets"]),


rule latency:
    """Flows that have raised the alarm against the packets seen of them, by alarm rule."""
    input:
        expand("results/{dataset}/figures/latency.pdf", dataset=config["selected_datasets"]),


rule measure_latency:
    """How early a detector raises the alarm, on unmodified flows and under each attack."""
    input:
        dataset="results/{dataset}/dataset.h5",
        weights="results/{dataset}/{model}/weights.safetensors",
        attacks=timed_attacks,
    output:
        output="results/{dataset}/{model}/latency.csv",
        by_packet="results/{dataset}/{model}/alarms_by_packet.csv",
    log:
        "results/{dataset}/logs/{model}/measure_latency.log",
    benchmark:
        "results/{dataset}/benchmarks/{model}/measure_latency.tsv"
    conda:
        "../../envs/torch.yaml"
    resources:
        **on_gpu(),
        runtime=growing(120),
        mem_mb=growing(16000),
    params:
        script=script("measure_latency.py"),
        code=code("measure_latency.py"),
        options=flags(config["early_detection"], {key: config["detection"][key] for key in ("k", "n")}),
        unwatched=unwatched(config["evaluation"]),
    shell:
        "python {params.script:q} --dataset {input.dataset:q} --weights {input.weights:q}"
        " --attacks {input.attacks:q} --output {output.output:q} --by-packet {output.by_packet:q}"
        " --model-name {wildcards.model} {params.options} {params.unwatched} 2> {log:q}"


use rule tabulate_table1 as tabulate_latency with:
    input:
        latency="results/{dataset}/baseline/latency.csv",
    output:
        **table("latency", "Data and detection", "Early detection", caption="table_latency"),
    log:
        "results/{dataset}/logs/tabulate_latency.log",
    benchmark:
        "results/{dataset}/benchmarks/tabulate_latency.tsv"
    params:
        script=script("tabulate_latency.py"),
        code=code("tabulate_latency.py"),


use rule plot_fig1 as plot_latency with:
    input:
        by_packet="results/{dataset}/baseline/alarms_by_packet.csv",
    output:
        **figure("latency", "Data and detection", "Early detection"),
    log:
        "results/{dataset}/logs/plot_latency.log",
    benchmark:
        "results/{dataset}/benchmarks/plot_latency.tsv"
    params:
        script=script("plot_latency.py"),
        code=code("plot_latency.py"),
