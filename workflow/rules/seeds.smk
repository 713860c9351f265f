# The same models trained with other seeds: what varies, and which conclusions hold in all trainings.
#
# In: of each of `seeded_models` and each of `seeds` metrics.csv, recall.csv and predictions.h5, the search of the main
# threat model with what the gate found, and of the baseline input_perturbation.csv. The first seed's results lie in
# results/{dataset}/{model}, those of another in results/{dataset}/{model}/seed_{seed}; any target can be asked for there.
# Out: results/{dataset}/seeds.csv, seed_values.csv and seed_conclusions.csv, tables/seeds.{csv,html,tex}, figures/seeds.{pdf,svg,png}.


rule seeds:
    """What varies between trainings that differ in their seed alone, and which conclusions hold in all of them."""
    input:
        expand("results/{dataset}/tables/seeds.html", dataset=config["selected_datasets"]),
        expand("results/{dataset}/figures/seeds.pdf", dataset=config["selected_datasets"]),


rule compare_seeds:
    """Mean and interval over trainings and flows of what the selected models do."""
    input:
        predictions=of_trainings("predictions.h5"),
        metrics=of_trainings("metrics.csv"),
        recall=of_trainings("recall.csv"),
        searches=of_trainings(search_files("attacks/search/{goal}/{threat_model}.h5")[0]),
        better=of_trainings(search_files("attacks/gate/{goal}/{threat_model}.h5")[0]),
        importance=of_trainings("explanations/input_perturbation.csv", seeded_models()[:1]),
    output:
        output="results/{dataset}/seeds.csv",
        values="results/{dataset}/seed_values.csv",
        conclusions="results/{dataset}/seed_conclusions.csv",
    log:
        "results/{dataset}/logs/compare_seeds.log",
    benchmark:
        "results/{dataset}/benchmarks/compare_seeds.tsv"
    conda:
        "../../envs/torch.yaml"
    resources:
        runtime=growing(60),
        mem_mb=growing(8000),
    params:
        script=script("compare_seeds.py"),
        code=code("compare_seeds.py"),
        inputs=inputs_by_name,
        outputs=outputs_by_name,
        trainings=flags(
            models=[model_of(training) for training in all_trainings()],
            seeds=[seed_of(training) for training in all_trainings()],
        ),
        options=flags(bootstrap_samples=config["evaluation"]["bootstrap_samples"], seed=config["seed"]),
    shell:
        "python {params.script:q} {params.inputs} {params.outputs} {params.trainings} {params.options} 2> {log:q}"


use rule tabulate_table1 as tabulate_seeds with:
    input:
        seeds="results/{dataset}/seeds.csv",
        conclusions="results/{dataset}/seed_conclusions.csv",
    output:
        **table("seeds", "Data and detection", "Over several trainings", caption="table_seeds"),
    log:
        "results/{dataset}/logs/tabulate_seeds.log",
    benchmark:
        "results/{dataset}/benchmarks/tabulate_seeds.tsv"
    params:
        script=script("tabulate_seeds.py"),
        code=code("tabulate_seeds.py"),


use rule plot_fig1 as plot_seeds with:
    input:
        values="results/{dataset}/seed_values.csv",
        seeds="results/{dataset}/seeds.csv",
    output:
        **figure("seeds", "Data and detection", "Over several trainings"),
    log:
        "results/{dataset}/logs/plot_seeds.log",
    benchmark:
        "results/{dataset}/benchmarks/plot_seeds.tsv"
    params:
        script=script("plot_seeds.py"),
        code=code("plot_seeds.py"),
