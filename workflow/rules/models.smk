# Detectors and what they detect.
#
# In: results/{dataset}/dataset.h5
# Out: results/{dataset}/{model}/weights.safetensors, predictions.h5 and the CSV files of metrics.


rule train:
    """A detector; what sets the models apart stands under `models` (Sec. II, V-A3 and VI-A)."""
    input:
        dataset="results/{dataset}/dataset.h5",
        detector=lambda wildcards: detector_file(wildcards.model),
    output:
        weights="results/{dataset}/{model}/weights.safetensors",
        best="results/{dataset}/{model}/best.safetensors",
        curve="results/{dataset}/{model}/learning_curve.csv",
    log:
        "results/{dataset}/logs/{model}/train.log",
    benchmark:
        "results/{dataset}/benchmarks/{model}/train.tsv"
    wildcard_constraints:
        dataset=none_of(copied_transfers() + imported_nets()),
        model=trained_anew(none_of([*GO_ON, *imported_models()])),
    conda:
        "../../envs/torch.yaml"
    threads: config["training_threads"]
    resources:
        **on_gpu(config["training_gpus"]),
        runtime=growing(1440),
        mem_mb=growing(16000),
    params:
        script=script("train.py"),
        code=code("train.py"),
        checkpoint=training_checkpoint,
        launcher=training_launcher(),
        options=lambda wildcards: model_options(wildcards.model, wildcards.dataset),
        unwatched=Unwatched(flags(device=config["device"])),
    shell:
        "{params.launcher} {params.script:q} --dataset {input.dataset:q} --weights {output.weights:q} --best {output.best:q}"
        " --curve {output.curve:q} --checkpoint {params.checkpoint:q} {params.options} {params.unwatched}"
        " 2> {log:q}"


rule import_detector:
    """A detector that was trained elsewhere, in TorchScript, ONNX or as a class with its weights (docs/own_detector.md)."""
    input:
        dataset="results/{dataset}/dataset.h5",
        detector=lambda wildcards: detector_file(wildcards.model),
        trained=lambda wildcards: weights_file(wildcards.model),
    output:
        weights="results/{dataset}/{model}/weights.safetensors",
    log:
        "results/{dataset}/logs/{model}/import_detector.log",
    benchmark:
        "results/{dataset}/benchmarks/{model}/import_detector.tsv"
    wildcard_constraints:
        dataset=none_of(copied_transfers() + imported_nets()),
        model=one_of(imported_models()),
    conda:
        "../../envs/torch.yaml"
    resources:
        runtime=growing(10),
        mem_mb=growing(8000),
    params:
        script=script("import_detector.py"),
        code=code("import_detector.py"),
        options=lambda wildcards: import_detector_options(wildcards.model),
    shell:
        "python {params.script:q} --dataset {input.dataset:q} --weights {output.weights:q} {params.options} 2> {log:q}"


rule train_adversarially:
    """The baseline, trained on with adversarial flows of its own, and its ARS meanwhile (Sec. VI-B, Fig. 10)."""
    input:
        dataset="results/{dataset}/dataset.h5",
        baseline=weights_of("baseline"),
    output:
        weights="results/{dataset}/{model}/weights.safetensors",
        curve="results/{dataset}/{model}/learning_curve.csv",
        scores="results/{dataset}/{model}/ars_by_epoch.csv",
        flows="results/{dataset}/{model}/adversarial_flows.h5",
    log:
        "results/{dataset}/logs/{model}/train_adversarially.log",
    benchmark:
        "results/{dataset}/benchmarks/{model}/train_adversarially.tsv"
    wildcard_constraints:
        dataset=none_of(copied_transfers() + imported_nets()),
        model=trained_anew("(adversarial|portfolio)_training"),
    conda:
        "../../envs/torch.yaml"
    threads: config["training_threads"]
    resources:
        **on_gpu(),
        runtime=growing(2880),
        mem_mb=growing(16000),
    params:
        script=script("train_adversarially.py"),
        code=code("train_adversarially.py"),
        checkpoint=training_checkpoint,
        options=lambda wildcards: adversarial_training_options(wildcards.model),
        unwatched=unwatched(config["attacks"]["selection"]),
    shell:
        "python {params.script:q} --dataset {input.dataset:q} --baseline {input.baseline:q}"
        " --weights {output.weights:q} --curve {output.curve:q} --scores {output.scores:q}"
        " --adversarial-flows {output.flows:q} --checkpoint {params.checkpoint:q} {params.options}"
        " {params.unwatched} 2> {log:q}"


rule continue_training:
    """The control of adversarial training: the baseline, trained on as long without adversarial flows."""
    input:
        dataset="results/{dataset}/dataset.h5",
        baseline=weights_of("baseline"),
    output:
        weights="results/{dataset}/{model}/weights.safetensors",
        curve="results/{dataset}/{model}/learning_curve.csv",
    log:
        "results/{dataset}/logs/{model}/continue_training.log",
    benchmark:
        "results/{dataset}/benchmarks/{model}/continue_training.tsv"
    wildcard_constraints:
        dataset=none_of(copied_transfers() + imported_nets()),
        model=trained_anew("continued_training"),
    conda:
        "../../envs/torch.yaml"
    threads: config["training_threads"]
    resources:
        **on_gpu(),
        runtime=growing(1440),
        mem_mb=growing(16000),
    params:
        script=script("train_adversarially.py"),
        code=code("train_adversarially.py"),
        checkpoint=training_checkpoint,
        options=lambda wildcards: adversarial_training_options(wildcards.model),
        unwatched=unwatched(config["attacks"]["selection"]),
    shell:
        "python {params.script:q} --no-adversarial --dataset {input.dataset:q} --baseline {input.baseline:q}"
        " --weights {output.weights:q} --curve {output.curve:q} --checkpoint {params.checkpoint:q} {params.options}"
        " {params.unwatched} 2> {log:q}"


rule classify_flow_statistics:
    """A perceptron on aggregates of whole flows, for comparison (Table II, third column)."""
    input:
        dataset="results/{dataset}/dataset.h5",
    output:
        metrics="results/{dataset}/flow_statistics/metrics.csv",
        recall="results/{dataset}/flow_statistics/recall.csv",
    log:
        "results/{dataset}/logs/flow_statistics/classify_flow_statistics.log",
    benchmark:
        "results/{dataset}/benchmarks/flow_statistics/classify_flow_statistics.tsv"
    conda:
        "../../envs/torch.yaml"
    resources:
        runtime=growing(240),
        mem_mb=growing(16000),
    params:
        script=script("classify_flow_statistics.py"),
        code=code("classify_flow_statistics.py"),
        options=flags(config["flow_statistics"], seed=config["seed"]),
    shell:
        "python {params.script:q} --dataset {input.dataset:q} --model-name flow_statistics"
        " --metrics {output.metrics:q} --recall {output.recall:q} {params.options} 2> {log:q}"


rule evaluate:
    """Predictions of a detector on the test set, its metrics and its recall per attack type (Sec. II, Table II)."""
    input:
        dataset="results/{dataset}/dataset.h5",
        weights="results/{dataset}/{model}/weights.safetensors",
    output:
        predictions="results/{dataset}/{model}/predictions.h5",
        metrics="results/{dataset}/{model}/metrics.csv",
        recall="results/{dataset}/{model}/recall.csv",
        confusion="results/{dataset}/{model}/confusion.csv",
    log:
        "results/{dataset}/logs/{model}/evaluate.log",
    benchmark:
        "results/{dataset}/benchmarks/{model}/evaluate.tsv"
    wildcard_constraints:
        model=trained_anew("(?!flow_statistics/)[a-z0-9_]+"),
    conda:
        "../../envs/torch.yaml"
    resources:
        **on_gpu(),
        runtime=growing(120),
        mem_mb=growing(16000),
    params:
        script=script("evaluate.py"),
        code=code("evaluate.py"),
        options=flags(bootstrap_samples=config["evaluation"]["bootstrap_samples"], seed=config["seed"]),
        unwatched=unwatched(config["evaluation"]),
    shell:
        "python {params.script:q} --dataset {input.dataset:q} --weights {input.weights:q}"
        " --predictions {output.predictions:q} --metrics {output.metrics:q} --recall {output.recall:q}"
        " --confusion {output.confusion:q} --model-name {wildcards.model} {params.options}"
        " {params.unwatched} 2> {log:q}"
