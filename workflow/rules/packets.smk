# Adversarial flows as packets: captures that hold them, and whether they survive that, and the network.
#
# In: the captures, their flow files, attacks on a model. Out: results/{dataset}/{model}/captures/{result}/{capture}.*,
# results/{dataset}/{model}/round_trip.csv, results/{dataset}/{model}/attacks/jitter/{goal}/{threat_model}.csv,
# results/{dataset}/tables/{round_trip,jitter}.{csv,html,tex} and results/{dataset}/figures/jitter.{pdf,svg,png}.


rule adversarial_captures:
    """Captures with the evasions of the first model under the main threat model; not among the results of `all`."""
    input:
        lambda wildcards: adversarial_captures(),


rule table_round_trip:
    """Evasions that are still benign once they are packets and have been read again."""
    input:
        expand("results/{dataset}/tables/round_trip.html", dataset=selected_captured()),


rule jitter:
    """Evasions that survive changes of their gaps on the network, against the margin that they keep."""
    input:
        expand("results/{dataset}/figures/jitter.pdf", dataset=config["selected_datasets"]),
        expand("results/{dataset}/tables/jitter.html", dataset=config["selected_datasets"]),


rule write_pcap:
    """A capture with what an attack found in the place of the original flows."""
    input:
        pcap=capture_file,
        flows="results/{dataset}/flows/{capture}.h5",
        dataset="results/{dataset}/dataset.h5",
        attack="results/{dataset}/{model}/attacks/{result}.h5",
    output:
        capture="results/{dataset}/{model}/captures/{result}/{capture}.{format}.gz",
        report="results/{dataset}/{model}/captures/{result}/{capture}.{format}.csv",
    log:
        "results/{dataset}/logs/{model}/write_pcap/{result}/{capture}.{format}.log",
    benchmark:
        "results/{dataset}/benchmarks/{model}/write_pcap/{result}/{capture}.{format}.tsv"
    conda:
        "../../envs/flows.yaml"
    resources:
        runtime=growing(240),
        mem_mb=growing(4000),
    params:
        script=script("write_pcap.py"),
        code=code("write_pcap.py"),
        options=lambda wildcards: flags(member(wildcards.dataset, wildcards.capture)),
    shell:
        "python {params.script:q} --pcap {input.pcap:q} --flows {input.flows:q} --dataset {input.dataset:q}"
        " --attack {input.attack:q} --output {output.capture:q} --report {output.report:q} {params.options} 2> {log:q}"


rule check_round_trip:
    """Evasions of a model written as packets, extracted again, and shown to the model."""
    input:
        pcaps=round_trip_captures,
        flows=lambda wildcards: expand(
            "results/{{dataset}}/flows/{capture}.h5", capture=captures(wildcards.dataset)
        ),
        dataset="results/{dataset}/dataset.h5",
        weights="results/{dataset}/{model}/weights.safetensors",
        attacks=all_attacks,
    output:
        csv="results/{dataset}/{model}/round_trip.csv",
        failures="results/{dataset}/{model}/round_trip_failures.csv",
    log:
        "results/{dataset}/logs/{model}/check_round_trip.log",
    benchmark:
        "results/{dataset}/benchmarks/{model}/check_round_trip.tsv"
    conda:
        "../../envs/torch.yaml"
    resources:
        **on_gpu(),
        runtime=growing(1440),
        mem_mb=growing(16000),
    params:
        script=script("check_round_trip.py"),
        code=code("check_round_trip.py"),
        pcaps=lambda wildcards: Unwatched(shlex.join(captures(wildcards.dataset).values())),
        unwatched=Unwatched(flags(device=config["device"])),
    shell:
        "python {params.script:q} --dataset {input.dataset:q} --weights {input.weights:q} --pcaps {params.pcaps}"
        " --flows {input.flows:q} --attacks {input.attacks:q} --model-name {wildcards.model} --output {output.csv:q}"
        " --failures {output.failures:q} {params.unwatched} 2> {log:q}"


use rule tabulate_table1 as tabulate_round_trip with:
    input:
        round_trips=expand("results/{{dataset}}/{model}/round_trip.csv", model=config["selected_models"]),
    output:
        **table(
            "round_trip",
            "Attacks and robustness",
            "Evasions as packets",
            caption="table_round_trip",
        ),
    log:
        "results/{dataset}/logs/tabulate_round_trip.log",
    benchmark:
        "results/{dataset}/benchmarks/tabulate_round_trip.tsv"
    params:
        script=script("tabulate_round_trip.py"),
        code=code("tabulate_round_trip.py"),


rule measure_jitter:
    """Probability that evasions survive jitter of each size, against their margin."""
    input:
        dataset="results/{dataset}/dataset.h5",
        weights=derivable_weights,
        search="results/{dataset}/{model}/attacks/search/{goal}/{threat_model}.h5",
    output:
        csv="results/{dataset}/{model}/attacks/jitter/{goal}/{threat_model}.csv",
    log:
        "results/{dataset}/logs/{model}/measure_jitter/{goal}/{threat_model}.log",
    benchmark:
        "results/{dataset}/benchmarks/{model}/measure_jitter/{goal}/{threat_model}.tsv"
    conda:
        "../../envs/torch.yaml"
    resources:
        **on_gpu(),
        runtime=growing(240),
        mem_mb=growing(16000),
    params:
        script=script("measure_jitter.py"),
        code=code("measure_jitter.py"),
        options=lambda wildcards: flags(
            threat_model(wildcards.threat_model), config["jitter"], seed=config["seed"]
        ),
        unwatched=unwatched(config["attacks"]["selection"]),
    shell:
        "python {params.script:q} --dataset {input.dataset:q} --weights {input.weights:q} --search {input.search:q}"
        " --model-name {wildcards.model} --output {output.csv:q} {params.options} {params.unwatched} 2> {log:q}"


use rule tabulate_table1 as tabulate_jitter with:
    input:
        jitter=[f"results/{{dataset}}/baseline/attacks/jitter/last/{main_threat_model()}.csv"],
    output:
        **table("jitter", "Attacks and robustness", "Evasions under jitter, table", caption="jitter"),
    log:
        "results/{dataset}/logs/tabulate_jitter.log",
    benchmark:
        "results/{dataset}/benchmarks/tabulate_jitter.tsv"
    params:
        script=script("tabulate_jitter.py"),
        code=code("tabulate_jitter.py"),


use rule plot_fig1 as plot_jitter with:
    input:
        jitter=[f"results/{{dataset}}/baseline/attacks/jitter/last/{main_threat_model()}.csv"],
    output:
        **figure("jitter", "Attacks and robustness", "Evasions under jitter"),
    log:
        "results/{dataset}/logs/plot_jitter.log",
    benchmark:
        "results/{dataset}/benchmarks/plot_jitter.tsv"
    params:
        script=script("plot_jitter.py"),
        code=code("plot_jitter.py"),
