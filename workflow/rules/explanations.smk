# What explains a detector's decisions: importance of features, dependence on their values, sequences (Sec. V).
#
# In: results/{dataset}/dataset.h5, and of a model: weights.safetensors, predictions.h5 and attacks/cw/kappa_*.h5.
# Out: results/{dataset}/{model}/explanations/*.csv, results/{dataset}/trajectories.csv and results/fig5.csv; what the
# models detect at rates of false alarms: results/{dataset}/detection_curves.csv and operating_points.csv.


rule perturb_inputs:
    """Accuracy drop with random values of a feature (Sec. V-A2, Table III a); others that run a detector inherit."""
    input:
        dataset="results/{dataset}/dataset.h5",
        weights="results/{dataset}/{model}/weights.safetensors",
    output:
        output="results/{dataset}/{model}/explanations/input_perturbation.csv",
        steps="results/{dataset}/{model}/explanations/input_perturbation_steps.csv",
    log:
        "results/{dataset}/logs/{model}/perturb_inputs.log",
    benchmark:
        "results/{dataset}/benchmarks/{model}/perturb_inputs.tsv"
    conda:
        "../../envs/torch.yaml"
    resources:
        **on_gpu(),
        runtime=growing(240),
        mem_mb=growing(16000),
    params:
        script=script("perturb_inputs.py"),
        code=code("perturb_inputs.py"),
        inputs=inputs_by_name,
        outputs=outputs_by_name,
        options=explanation_options("input_perturbation", "bootstrap_samples"),
        unwatched=unwatched(config["evaluation"]),
    shell:
        "python {params.script:q} {params.inputs} {params.outputs} {params.options} {params.unwatched} 2> {log:q}"


use rule perturb_inputs as drop_features with:
    output:
        drops="results/{dataset}/{model}/explanations/feature_dropout.csv",
        steps="results/{dataset}/{model}/explanations/feature_dropout_steps.csv",
        pair_scores="results/{dataset}/{model}/explanations/pair_scores.csv",
    log:
        "results/{dataset}/logs/{model}/drop_features.log",
    benchmark:
        "results/{dataset}/benchmarks/{model}/drop_features.tsv"
    params:
        script=script("drop_features.py"),
        code=code("drop_features.py"),
        options=explanation_options("feature_dropout", "bootstrap_samples"),


use rule perturb_inputs as measure_shapley with:
    output:
        output="results/{dataset}/{model}/explanations/shapley.csv",
    log:
        "results/{dataset}/logs/{model}/measure_shapley.log",
    benchmark:
        "results/{dataset}/benchmarks/{model}/measure_shapley.tsv"
    params:
        script=script("measure_shapley.py"),
        code=code("measure_shapley.py"),
        options=explanation_options("shapley", "bootstrap_samples"),


use rule perturb_inputs as measure_mutual_information with:
    output:
        output="results/{dataset}/{model}/explanations/mutual_information.csv",
        steps="results/{dataset}/{model}/explanations/mutual_information_steps.csv",
    log:
        "results/{dataset}/logs/{model}/measure_mutual_information.log",
    benchmark:
        "results/{dataset}/benchmarks/{model}/measure_mutual_information.tsv"
    params:
        script=script("measure_mutual_information.py"),
        code=code("measure_mutual_information.py"),
        options=explanation_options("mutual_information", "bootstrap_samples", constraints=True),


use rule perturb_inputs as partial_dependence with:
    output:
        output="results/{dataset}/{model}/explanations/pdp.csv",
        values="results/{dataset}/{model}/explanations/pdp_values.csv",
    log:
        "results/{dataset}/logs/{model}/partial_dependence.log",
    benchmark:
        "results/{dataset}/benchmarks/{model}/partial_dependence.tsv"
    params:
        script=script("partial_dependence.py"),
        code=code("partial_dependence.py"),
        options=explanation_options("partial_dependence"),


use rule perturb_inputs as sequential_dependence with:
    input:
        dataset="results/{dataset}/dataset.h5",
        weights="results/{dataset}/{model}/weights.safetensors",
        attacks=reference_attack(),
    output:
        output="results/{dataset}/{model}/explanations/sequential_pdp.csv",
        means="results/{dataset}/{model}/explanations/sequential_means.csv",
    log:
        "results/{dataset}/logs/{model}/sequential_dependence.log",
    benchmark:
        "results/{dataset}/benchmarks/{model}/sequential_dependence.tsv"
    params:
        script=script("sequential_dependence.py"),
        code=code("sequential_dependence.py"),
        options=explanation_options("sequential_dependence"),


use rule perturb_inputs as compare_explanations with:
    input:
        dataset="results/{dataset}/dataset.h5",
        weights="results/{dataset}/{model}/weights.safetensors",
        importance=[
            "results/{dataset}/feature_dropout/explanations/feature_dropout.csv",
            "results/{dataset}/feature_dropout/explanations/shapley.csv",
        ],
        attacks=reference_attack(),
    output:
        cells="results/{dataset}/{model}/explanations/agreement_cells.csv",
        moves="results/{dataset}/{model}/explanations/agreement_moves.csv",
    log:
        "results/{dataset}/logs/{model}/compare_explanations.log",
    benchmark:
        "results/{dataset}/benchmarks/{model}/compare_explanations.tsv"
    params:
        script=script("compare_explanations.py"),
        code=code("compare_explanations.py"),
        options=explanation_options("comparison", constraints=True),


use rule perturb_inputs as check_explanations with:
    output:
        output="results/{dataset}/{model}/explanations/sanity.csv",
    log:
        "results/{dataset}/logs/{model}/check_explanations.log",
    benchmark:
        "results/{dataset}/benchmarks/{model}/check_explanations.tsv"
    params:
        script=script("check_explanations.py"),
        code=code("check_explanations.py"),
        options=explanation_options("sanity"),


rule confidence_per_step:
    """Confidence after each packet, per attack type (Fig. 7); others that take neither options nor a GPU inherit."""
    input:
        predictions="results/{dataset}/{model}/predictions.h5",
    output:
        output="results/{dataset}/{model}/explanations/confidence.csv",
    log:
        "results/{dataset}/logs/{model}/confidence_per_step.log",
    benchmark:
        "results/{dataset}/benchmarks/{model}/confidence_per_step.tsv"
    conda:
        "../../envs/flows.yaml"
    resources:
        runtime=growing(60),
        mem_mb=growing(8000),
    params:
        script=script("confidence_per_step.py"),
        code=code("confidence_per_step.py"),
        inputs=inputs_by_name,
        outputs=outputs_by_name,
    shell:
        "python {params.script:q} {params.inputs} {params.outputs} 2> {log:q}"


use rule confidence_per_step as feature_trajectories with:
    input:
        dataset="results/{dataset}/dataset.h5",
    output:
        output="results/{dataset}/trajectories.csv",
    log:
        "results/{dataset}/logs/feature_trajectories.log",
    benchmark:
        "results/{dataset}/benchmarks/feature_trajectories.tsv"
    params:
        script=script("feature_trajectories.py"),
        code=code("feature_trajectories.py"),


use rule confidence_per_step as rank_weights with:
    input:
        weights="results/{dataset}/{model}/weights.safetensors",
    output:
        output="results/{dataset}/{model}/explanations/weights.csv",
    log:
        "results/{dataset}/logs/{model}/rank_weights.log",
    benchmark:
        "results/{dataset}/benchmarks/{model}/rank_weights.tsv"
    conda:
        "../../envs/torch.yaml"
    params:
        script=script("rank_weights.py"),
        code=code("rank_weights.py"),


use rule confidence_per_step as compare_distributions with:
    """Two distributions of equal accuracy and different mutual information (Sec. V-A4, Fig. 5), without a data set."""
    input:
        [],
    output:
        output="results/fig5.csv",
    log:
        "results/logs/compare_distributions.log",
    benchmark:
        "results/benchmarks/compare_distributions.tsv"
    params:
        script=script("compare_distributions.py"),
        code=code("compare_distributions.py"),


use rule confidence_per_step as measure_detection with:
    input:
        dataset="results/{dataset}/dataset.h5",
        predictions=expand("results/{{dataset}}/{model}/predictions.h5", model=config["selected_models"]),
    output:
        curves="results/{dataset}/detection_curves.csv",
        operating_points="results/{dataset}/operating_points.csv",
    log:
        "results/{dataset}/logs/measure_detection.log",
    benchmark:
        "results/{dataset}/benchmarks/measure_detection.tsv"
    conda:
        "../../envs/torch.yaml"
    params:
        script=script("measure_detection.py"),
        code=code("measure_detection.py"),
