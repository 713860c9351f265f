# Attacks on trained detectors, and the robustness score.
#
# In: results/{dataset}/dataset.h5 and results/{dataset}/{model}/weights.safetensors
# Out: results/{dataset}/{model}/attacks/{attack}/kappa_{kappa}.h5 with their summary.csv, attacks/{method}.h5 of the
# bounded attacks with comparison.csv, attacks/search/{goal}/{threat_model}.h5 with the nearest evasions, robustness.csv
# and, for the first threat model, ars.csv. Each attack is made in chunks of flows, files in a folder of its name.


rule attack_cw:
    """Carlini and Wagner's attack at one trade-off kappa, on every attack type (Sec. III, Eq. 1)."""
    input:
        dataset="results/{dataset}/dataset.h5",
        weights=derivable_weights,
    output:
        attacks="results/{dataset}/{model}/attacks/{attack}/kappa_{kappa}/chunk_{chunk}_of_{chunks}.h5",
    log:
        "results/{dataset}/logs/{model}/attack_{attack}/kappa_{kappa}/chunk_{chunk}_of_{chunks}.log",
    benchmark:
        "results/{dataset}/benchmarks/{model}/attack_{attack}/kappa_{kappa}/chunk_{chunk}_of_{chunks}.tsv"
    conda:
        "../../envs/torch.yaml"
    resources:
        **on_gpu(),
        turn=1,  # in a group of jobs one after the other, see workflow/profiles/slurm
        runtime=growing(720),
        mem_mb=growing(16000),
    params:
        script=script("attack_cw.py"),
        code=code("attack_cw.py"),
        options=lambda wildcards: attack_options("cw", wildcards.attack),
        unwatched=unwatched(config["attacks"]["selection"]),
    shell:
        "python {params.script:q} --dataset {input.dataset:q} --weights {input.weights:q} --kappa {wildcards.kappa}"
        " --chunk {wildcards.chunk} --chunks {wildcards.chunks} --output {output.attacks:q} {params.options}"
        " {params.unwatched} 2> {log:q}"


rule gather_attack:
    """All flows of one attack, from the chunks in which they were attacked."""
    input:
        chunks=chunks,
    output:
        attacks="results/{dataset}/{model}/attacks/{result}.h5",
    log:
        "results/{dataset}/logs/{model}/gather_attack/{result}.log",
    benchmark:
        "results/{dataset}/benchmarks/{model}/gather_attack/{result}.tsv"
    conda:
        "../../envs/flows.yaml"
    resources:
        runtime=growing(30),
        mem_mb=growing(4000),
    params:
        script=script("gather_attack.py"),
        code=code("gather_attack.py"),
    shell:
        "python {params.script:q} --chunks {input.chunks:q} --output {output.attacks:q} 2> {log:q}"


rule summarise_attacks:
    """Success ratios and distances of the attack over kappa, per attack type (Fig. 2)."""
    input:
        attacks=expand(
            "results/{{dataset}}/{{model}}/attacks/{{attack}}/kappa_{kappa}.h5",
            kappa=[f"{kappa:g}" for kappa in config["attacks"]["kappas"]],
        ),
    output:
        summary="results/{dataset}/{model}/attacks/{attack}/summary.csv",
    log:
        "results/{dataset}/logs/{model}/summarise_attacks/{attack}.log",
    benchmark:
        "results/{dataset}/benchmarks/{model}/summarise_attacks/{attack}.tsv"
    conda:
        "../../envs/flows.yaml"
    resources:
        runtime=growing(30),
        mem_mb=growing(4000),
    params:
        script=script("summarise_attacks.py"),
        code=code("summarise_attacks.py"),
    shell:
        "python {params.script:q} --attacks {input.attacks:q} --output {output.summary:q}"
        " --model-name {wildcards.model} 2> {log:q}"


rule attack_bounded:
    """PGD or FGSM, as far from each flow as CW went on its attack type (Sec. III-B, III-C)."""
    input:
        dataset="results/{dataset}/dataset.h5",
        weights=derivable_weights,
        reference=reference_attack(),
    output:
        attacks="results/{dataset}/{model}/attacks/{method}/chunk_{chunk}_of_{chunks}.h5",
    log:
        "results/{dataset}/logs/{model}/attack_bounded/{method}/chunk_{chunk}_of_{chunks}.log",
    benchmark:
        "results/{dataset}/benchmarks/{model}/attack_bounded/{method}/chunk_{chunk}_of_{chunks}.tsv"
    conda:
        "../../envs/torch.yaml"
    resources:
        **on_gpu(),
        turn=1,  # in a group of jobs one after the other, see workflow/profiles/slurm
        runtime=growing(240),
        mem_mb=growing(16000),
    params:
        script=script("attack_bounded.py"),
        code=code("attack_bounded.py"),
        options=bounded_options(),
        unwatched=unwatched(config["attacks"]["selection"]),
    shell:
        "python {params.script:q} --dataset {input.dataset:q} --weights {input.weights:q} --method {wildcards.method}"
        " --chunk {wildcards.chunk} --chunks {wildcards.chunks} --reference {input.reference:q} --output {output.attacks:q} {params.options}"
        " {params.unwatched} 2> {log:q}"


rule compare_attacks:
    """Detection of attack flows, unmodified and under each attack, per attack type (Fig. 1)."""
    input:
        attacks=[
            reference_attack(),
            "results/{dataset}/{model}/attacks/pgd.h5",
            "results/{dataset}/{model}/attacks/fgsm.h5",
        ],
        searches=main_searches("results/{dataset}/{model}/attacks/search/{goal}/{threat_model}.h5"),
    output:
        comparison="results/{dataset}/{model}/attacks/comparison.csv",
    log:
        "results/{dataset}/logs/{model}/compare_attacks.log",
    benchmark:
        "results/{dataset}/benchmarks/{model}/compare_attacks.tsv"
    conda:
        "../../envs/torch.yaml"
    resources:
        runtime=growing(30),
        mem_mb=growing(4000),
    params:
        script=script("compare_attacks.py"),
        code=code("compare_attacks.py"),
    shell:
        "python {params.script:q} --attacks {input.attacks:q} --searches {input.searches:q}"
        " --model-name {wildcards.model} --output {output.comparison:q} 2> {log:q}"


rule search_evasions:
    """The nearest evasion of each attack flow under a threat model, by a portfolio of attacks (Sec. IV)."""
    input:
        dataset="results/{dataset}/dataset.h5",
        weights="results/{dataset}/{model}/weights.safetensors",
        known=known_attacks,
    output:
        attacks="results/{dataset}/{model}/attacks/search/{goal}/{threat_model}/chunk_{chunk}_of_{chunks}.h5",
    log:
        "results/{dataset}/logs/{model}/search_evasions/{goal}/{threat_model}/chunk_{chunk}_of_{chunks}.log",
    benchmark:
        "results/{dataset}/benchmarks/{model}/search_evasions/{goal}/{threat_model}/chunk_{chunk}_of_{chunks}.tsv"
    conda:
        "../../envs/torch.yaml"
    resources:
        **on_gpu(),
        runtime=growing(1440),
        mem_mb=growing(16000),
    params:
        script=script("search_evasions.py"),
        code=code("search_evasions.py"),
        options=lambda wildcards: search_options(wildcards.threat_model, wildcards.dataset),
        unwatched=unwatched(config["attacks"]["selection"]),
    shell:
        "python {params.script:q} --dataset {input.dataset:q} --weights {input.weights:q} --goal {wildcards.goal}"
        " --chunk {wildcards.chunk} --chunks {wildcards.chunks} --output {output.attacks:q} {params.options}"
        " {params.unwatched} --known {input.known:q} 2> {log:q}"


rule check_robustness:
    """What an independent check says of a search: the verdict on each attack type, and nearer flows if there are."""
    input:
        dataset="results/{dataset}/dataset.h5",
        weights="results/{dataset}/{model}/weights.safetensors",
        search="results/{dataset}/{model}/attacks/search/{goal}/{threat_model}.h5",
    output:
        indicators="results/{dataset}/{model}/attacks/gate/{goal}/{threat_model}.csv",
        better="results/{dataset}/{model}/attacks/gate/{goal}/{threat_model}.h5",
    log:
        "results/{dataset}/logs/{model}/check_robustness/{goal}/{threat_model}.log",
    benchmark:
        "results/{dataset}/benchmarks/{model}/check_robustness/{goal}/{threat_model}.tsv"
    conda:
        "../../envs/torch.yaml"
    resources:
        **on_gpu(),
        runtime=growing(240),
        mem_mb=growing(16000),
    params:
        script=script("check_robustness.py"),
        code=code("check_robustness.py"),
        options=lambda wildcards: flags(
            threat_model(wildcards.threat_model), config["gate"], seed=config["seed"]
        ),
        unwatched=Unwatched(flags(device=config["device"])),
    shell:
        "python {params.script:q} --dataset {input.dataset:q} --weights {input.weights:q} --search {input.search:q}"
        " --output {output.indicators:q} --better {output.better:q} {params.options} {params.unwatched} 2> {log:q}"


rule bound_distances:
    """Lower bounds of the distances that a search found: of flows with few free numbers, or of all (Sec. IV)."""
    input:
        dataset="results/{dataset}/dataset.h5",
        weights="results/{dataset}/{model}/weights.safetensors",
        search="results/{dataset}/{model}/attacks/search/last/{threat_model}.h5",
        better="results/{dataset}/{model}/attacks/gate/last/{threat_model}.h5",
    output:
        bounds="results/{dataset}/{model}/attacks/bounds/{extent}/{threat_model}.h5",
    log:
        "results/{dataset}/logs/{model}/bound_distances/{extent}/{threat_model}.log",
    benchmark:
        "results/{dataset}/benchmarks/{model}/bound_distances/{extent}/{threat_model}.tsv"
    wildcard_constraints:
        extent="few|all",
    conda:
        "../../envs/torch.yaml"
    resources:
        **on_gpu(),
        runtime=growing(720),
        mem_mb=growing(8000),
    params:
        script=script("bound_distances.py"),
        code=code("bound_distances.py"),
        checkpoint=bounds_checkpoint,
        options=lambda wildcards: bound_options(wildcards.threat_model, wildcards.extent),
        unwatched=Unwatched(flags(device=config["device"])),
    shell:
        "python {params.script:q} --dataset {input.dataset:q} --weights {input.weights:q} --search {input.search:q}"
        " --better {input.better:q} --output {output.bounds:q} --checkpoint {params.checkpoint:q}"
        " {params.options} {params.unwatched} 2> {log:q}"


rule ars:
    """Adversarial Robustness Score per threat model and attack type (Sec. IV, Eq. 3)."""
    input:
        searches=scored_searches("results/{dataset}/{model}/attacks/search/{goal}/{threat_model}.h5"),
        indicators=scored_searches("results/{dataset}/{model}/attacks/gate/{goal}/{threat_model}.csv"),
        better=scored_searches("results/{dataset}/{model}/attacks/gate/{goal}/{threat_model}.h5"),
        bounds=quick_bounds("results/{dataset}/{model}/attacks/bounds/few/{threat_model}.h5"),
    output:
        robustness="results/{dataset}/{model}/robustness.csv",
        ars="results/{dataset}/{model}/ars.csv",
    log:
        "results/{dataset}/logs/{model}/ars.log",
    benchmark:
        "results/{dataset}/benchmarks/{model}/ars.tsv"
    conda:
        "../../envs/torch.yaml"
    resources:
        runtime=growing(60),
        mem_mb=growing(4000),
    params:
        script=script("score_robustness.py"),
        code=code("score_robustness.py"),
        options=flags(config["ars"], seed=config["seed"]),
    shell:
        "python {params.script:q} --searches {input.searches:q} --indicators {input.indicators:q} --better {input.better:q}"
        " --bounds {input.bounds:q} --model-name {wildcards.model}"
        " --output {output.robustness:q} --ars {output.ars:q} {params.options} 2> {log:q}"
