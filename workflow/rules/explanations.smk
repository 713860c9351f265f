# What explains a detector's decisions: importance of features, dependence on their values, sequences (Sec. V).
#
# In: results/{dataset}/dataset.h5, and of a model: weights.safetensors, predictions.h5 and attacks/cw/kappa_*.h5.
# Out: results/{dataset}/{model}/explanations/*.csv, results/{dataset}/trajectories.csv and results/fig5.csv.


rule rank_weights:
    """Importance by the weights that lead from a feature to the prediction (Sec. V-A1)."""
    input:
        weights="results/{dataset}/{model}/weights.safetensors",
    output:
        importance="results/{dataset}/{model}/explanations/weights.csv",
    log:
        "results/{dataset}/logs/{model}/rank_weights.log",
    benchmark:
        "results/{dataset}/benchmarks/{model}/rank_weights.tsv"
    conda:
        "../../envs/torch.yaml"
    resources:
        runtime=growing(10),
        mem_mb=growing(4000),
    params:
        script=script("rank_weights.py"),
        code=code("rank_weights.py"),
    shell:
        "python {params.script:q} --weights {input.weights:q} --output {output.importance:q} 2> {log:q}"


rule perturb_inputs:
    """Accuracy drop with random values of a feature (Sec. V-A2, Table III a)."""
    input:
        dataset="results/{dataset}/dataset.h5",
        weights="results/{dataset}/{model}/weights.safetensors",
    output:
        importance="results/{dataset}/{model}/explanations/input_perturbation.csv",
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
        options=explanation_options("input_perturbation", "bootstrap_samples"),
        unwatched=unwatched(config["evaluation"]),
    shell:
        "python {params.script:q} --dataset {input.dataset:q} --weights {input.weights:q}"
        " --output {output.importance:q} {params.options} {params.unwatched} 2> {log:q}"


rule drop_features:
    """Accuracy drop without features and pairs of them (Sec. V-A3, Table III b, Eq. 4); takes feature dropout."""
    input:
        dataset="results/{dataset}/dataset.h5",
        weights="results/{dataset}/{model}/weights.safetensors",
    output:
        importance="results/{dataset}/{model}/explanations/feature_dropout.csv",
        pair_scores="results/{dataset}/{model}/explanations/pair_scores.csv",
    log:
        "results/{dataset}/logs/{model}/drop_features.log",
    benchmark:
        "results/{dataset}/benchmarks/{model}/drop_features.tsv"
    conda:
        "../../envs/torch.yaml"
    resources:
        **on_gpu(),
        runtime=growing(240),
        mem_mb=growing(16000),
    params:
        script=script("drop_features.py"),
        code=code("drop_features.py"),
        options=explanation_options("feature_dropout", "bootstrap_samples"),
        unwatched=unwatched(config["evaluation"]),
    shell:
        "python {params.script:q} --dataset {input.dataset:q} --weights {input.weights:q}"
        " --drops {output.importance:q} --pair-scores {output.pair_scores:q} {params.options} {params.unwatched} 2> {log:q}"


rule measure_mutual_information:
    """Mutual information between a feature and the prediction (Sec. V-A4, Eq. 5)."""
    input:
        dataset="results/{dataset}/dataset.h5",
        weights="results/{dataset}/{model}/weights.safetensors",
    output:
        importance="results/{dataset}/{model}/explanations/mutual_information.csv",
    log:
        "results/{dataset}/logs/{model}/measure_mutual_information.log",
    benchmark:
        "results/{dataset}/benchmarks/{model}/measure_mutual_information.tsv"
    conda:
        "../../envs/torch.yaml"
    resources:
        **on_gpu(),
        runtime=growing(240),
        mem_mb=growing(16000),
    params:
        script=script("measure_mutual_information.py"),
        code=code("measure_mutual_information.py"),
        options=explanation_options("mutual_information", "bootstrap_samples"),
        unwatched=unwatched(config["evaluation"]),
    shell:
        "python {params.script:q} --dataset {input.dataset:q} --weights {input.weights:q}"
        " --output {output.importance:q} {params.options} {params.unwatched} 2> {log:q}"


rule compare_distributions:
    """Two distributions of equal accuracy and different mutual information (Fig. 5)."""
    output:
        distributions="results/fig5.csv",
    log:
        "results/logs/compare_distributions.log",
    benchmark:
        "results/benchmarks/compare_distributions.tsv"
    conda:
        "../../envs/flows.yaml"
    resources:
        runtime=growing(10),
        mem_mb=growing(2000),
    params:
        script=script("compare_distributions.py"),
        code=code("compare_distributions.py"),
    shell:
        "python {params.script:q} --output {output.distributions:q} 2> {log:q}"


rule partial_dependence:
    """Partial dependence of a flow's prediction on a feature, per attack type (Eq. 6, Fig. 6)."""
    input:
        dataset="results/{dataset}/dataset.h5",
        weights="results/{dataset}/{model}/weights.safetensors",
    output:
        dependence="results/{dataset}/{model}/explanations/pdp.csv",
        values="results/{dataset}/{model}/explanations/pdp_values.csv",
    log:
        "results/{dataset}/logs/{model}/partial_dependence.log",
    benchmark:
        "results/{dataset}/benchmarks/{model}/partial_dependence.tsv"
    conda:
        "../../envs/torch.yaml"
    resources:
        **on_gpu(),
        runtime=growing(240),
        mem_mb=growing(16000),
    params:
        script=script("partial_dependence.py"),
        code=code("partial_dependence.py"),
        options=explanation_options("partial_dependence"),
        unwatched=unwatched(config["evaluation"]),
    shell:
        "python {params.script:q} --dataset {input.dataset:q} --weights {input.weights:q}"
        " --output {output.dependence:q} --values {output.values:q} {params.options} {params.unwatched} 2> {log:q}"


rule confidence_per_step:
    """Confidence after each packet, per attack type, with the flows that reach it (Fig. 7)."""
    input:
        predictions="results/{dataset}/{model}/predictions.h5",
    output:
        confidence="results/{dataset}/{model}/explanations/confidence.csv",
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
    shell:
        "python {params.script:q} --predictions {input.predictions:q} --output {output.confidence:q}"
        " 2> {log:q}"


rule sequential_dependence:
    """Partial dependence at each step, with the means of original and adversarial flows (Eq. 7, Fig. 8)."""
    input:
        dataset="results/{dataset}/dataset.h5",
        weights="results/{dataset}/{model}/weights.safetensors",
        attacks=reference_attack(),
    output:
        dependence="results/{dataset}/{model}/explanations/sequential_pdp.csv",
        means="results/{dataset}/{model}/explanations/sequential_means.csv",
    log:
        "results/{dataset}/logs/{model}/sequential_dependence.log",
    benchmark:
        "results/{dataset}/benchmarks/{model}/sequential_dependence.tsv"
    conda:
        "../../envs/torch.yaml"
    resources:
        **on_gpu(),
        runtime=growing(240),
        mem_mb=growing(16000),
    params:
        script=script("sequential_dependence.py"),
        code=code("sequential_dependence.py"),
        options=explanation_options("sequential_dependence"),
        unwatched=unwatched(config["evaluation"]),
    shell:
        "python {params.script:q} --dataset {input.dataset:q} --weights {input.weights:q}"
        " --attacks {input.attacks:q} --output {output.dependence:q} --means {output.means:q} {params.options}"
        " {params.unwatched} 2> {log:q}"


rule feature_trajectories:
    """Length and interarrival time over the packets of each attack type's flows (Fig. 9)."""
    input:
        dataset="results/{dataset}/dataset.h5",
    output:
        trajectories="results/{dataset}/trajectories.csv",
    log:
        "results/{dataset}/logs/feature_trajectories.log",
    benchmark:
        "results/{dataset}/benchmarks/feature_trajectories.tsv"
    conda:
        "../../envs/flows.yaml"
    resources:
        runtime=growing(60),
        mem_mb=growing(8000),
    params:
        script=script("feature_trajectories.py"),
        code=code("feature_trajectories.py"),
    shell:
        "python {params.script:q} --dataset {input.dataset:q} --output {output.trajectories:q} 2> {log:q}"
