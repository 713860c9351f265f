# Detectors and what they detect.
#
# In: results/{dataset}/dataset.h5
# Out: results/{dataset}/{model}/weights.safetensors, predictions.h5 and the CSV files of metrics.


rule train:
    """A detector; what sets the models apart stands under `models` (Sec. II, V-A3 and VI-A)."""
    input:
        dataset="results/{dataset}/dataset.h5",
    output:
        weights="results/{dataset}/{model}/weights.safetensors",
        last="results/{dataset}/{model}/last.safetensors",
        curve="results/{dataset}/{model}/learning_curve.csv",
    log:
        "results/{dataset}/logs/{model}/train.log",
    benchmark:
        "results/{dataset}/benchmarks/{model}/train.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: 2
    resources:
        gpu=1,
        runtime=growing(1440),
        mem_mb=growing(16000),
    params:
        script=script("train.py"),
        code=code("train.py"),
        checkpoint="results/{dataset}/{model}/.train.checkpoint",
        options=lambda wildcards: model_options(wildcards.model),
    shell:
        "python {params.script:q} --dataset {input.dataset:q} --weights {output.weights:q} --last {output.last:q}"
        " --curve {output.curve:q} --checkpoint {params.checkpoint:q} {params.options} 2> {log:q}"


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
    conda:
        "../../envs/torch.yaml"
    resources:
        gpu=1,
        runtime=growing(120),
        mem_mb=growing(16000),
    params:
        script=script("evaluate.py"),
        code=code("evaluate.py"),
        options=flags(config["evaluation"], seed=config["seed"], device=config["device"]),
    shell:
        "python {params.script:q} --dataset {input.dataset:q} --weights {input.weights:q}"
        " --predictions {output.predictions:q} --metrics {output.metrics:q} --recall {output.recall:q}"
        " --confusion {output.confusion:q} --model-name {wildcards.model} {params.options} 2> {log:q}"
