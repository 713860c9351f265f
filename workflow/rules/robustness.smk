# Robustness beyond the paper: scores under every threat model, what the search for evasions found and cost, and how
# many flows evade within a budget of bytes or seconds. What comes back of evasions that are written as packets stands in
# packets.smk.
#
# In: robustness.csv and attacks/search/{goal}/{threat_model}.h5 of each selected model.
# Out: results/{dataset}/tables/ars.{csv,html,tex}, results/{dataset}/tables/attacks.{csv,html,tex},
# results/{dataset}/{model}/budget.csv and results/{dataset}/figures/budget.{pdf,svg,png}.


rule table_ars:
    """ARS per model, threat model, goal and attack type, with what it rests on."""
    input:
        expand("results/{dataset}/tables/ars.html", dataset=config["selected_datasets"]),


rule table_attacks:
    """What each member of the search for evasions found, and what it cost."""
    input:
        expand("results/{dataset}/tables/attacks.html", dataset=config["selected_datasets"]),


rule budget:
    """Evading flows against the bytes and the seconds that are added, per model and attack type."""
    input:
        expand("results/{dataset}/figures/budget.pdf", dataset=config["selected_datasets"]),


rule attacks_all:
    """CW at every kappa, PGD and FGSM on every selected model, and what they reach beside the search; not part of `all`."""
    input:
        lambda wildcards: expand(
            "results/{dataset}/{model}/attacks/{summary}.csv",
            dataset=config["selected_datasets"],
            model=derivable_models(),
            summary=["cw/summary", "comparison"],
        ),


rule bracket:
    """ARS of the baseline from below and above under the main threat model, all flows bounded: minutes more."""
    input:
        expand("results/{dataset}/tables/bracket.html", dataset=config["selected_datasets"]),


use rule tabulate_table1 as tabulate_ars with:
    input:
        robustness=expand("results/{{dataset}}/{model}/robustness.csv", model=config["selected_models"]),
    output:
        **table("ars", "Attacks and robustness", "Robustness scores", caption="table_ars"),
    log:
        "results/{dataset}/logs/tabulate_ars.log",
    benchmark:
        "results/{dataset}/benchmarks/tabulate_ars.tsv"
    params:
        script=script("tabulate_ars.py"),
        code=code("tabulate_ars.py"),


rule tabulate_attacks:
    """What found the nearest evasions of one data set."""
    input:
        searches=[
            path
            for model in config["selected_models"]
            for path in search_files(
                f"results/{{dataset}}/{model}/attacks/search/{{goal}}/{{threat_model}}.h5"
            )
        ],
    output:
        **table("attacks", "Attacks and robustness", "What finds evasions", caption="table_attacks"),
    log:
        "results/{dataset}/logs/tabulate_attacks.log",
    benchmark:
        "results/{dataset}/benchmarks/tabulate_attacks.tsv"
    conda:
        "../../envs/torch.yaml"
    resources:
        runtime=growing(30),
        mem_mb=growing(4000),
    params:
        script=script("tabulate_attacks.py"),
        code=code("tabulate_attacks.py"),
        models=[model for model in config["selected_models"] for _ in searches()],
    shell:
        "python {params.script:q} --searches {input.searches:q} --models {params.models}"
        " --dataset {wildcards.dataset} --output {output.csv:q} --html {output.html:q} --latex {output.tex:q} 2> {log:q}"


rule tabulate_bracket:
    """Scores from below and above, and how many distances are proven."""
    input:
        bounds=main_bounds("results/{dataset}/baseline/attacks/bounds/all/{threat_model}.h5"),
    output:
        **table("bracket", "Attacks and robustness", "Brackets of scores", caption="table_bracket"),
    log:
        "results/{dataset}/logs/tabulate_bracket.log",
    benchmark:
        "results/{dataset}/benchmarks/tabulate_bracket.tsv"
    conda:
        "../../envs/torch.yaml"
    resources:
        runtime=growing(30),
        mem_mb=growing(4000),
    params:
        script=script("tabulate_bracket.py"),
        code=code("tabulate_bracket.py"),
    shell:
        "python {params.script:q} --bounds {input.bounds:q} --models baseline"
        " --dataset {wildcards.dataset} --output {output.csv:q} --html {output.html:q} --latex {output.tex:q} 2> {log:q}"


rule measure_budget:
    """Bytes and seconds that the nearest evasions add, and the share of flows within budgets of either."""
    input:
        dataset="results/{dataset}/dataset.h5",
        searches=search_files("results/{dataset}/{model}/attacks/search/{goal}/{threat_model}.h5"),
        better=search_files("results/{dataset}/{model}/attacks/gate/{goal}/{threat_model}.h5"),
    output:
        budget="results/{dataset}/{model}/budget.csv",
    log:
        "results/{dataset}/logs/{model}/measure_budget.log",
    benchmark:
        "results/{dataset}/benchmarks/{model}/measure_budget.tsv"
    conda:
        "../../envs/torch.yaml"
    resources:
        runtime=growing(30),
        mem_mb=growing(4000),
    params:
        script=script("measure_budget.py"),
        code=code("measure_budget.py"),
    shell:
        "python {params.script:q} --dataset {input.dataset:q} --searches {input.searches:q} --better {input.better:q}"
        " --model-name {wildcards.model} --output {output.budget:q} 2> {log:q}"


use rule plot_fig1 as plot_budget with:
    input:
        budget=expand("results/{{dataset}}/{model}/budget.csv", model=config["selected_models"]),
    output:
        **figure("budget", "Attacks and robustness", "Evasion within a budget"),
    log:
        "results/{dataset}/logs/plot_budget.log",
    benchmark:
        "results/{dataset}/benchmarks/plot_budget.tsv"
    params:
        script=script("plot_budget.py"),
        code=code("plot_budget.py"),
