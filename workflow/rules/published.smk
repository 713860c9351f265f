# What the paper's authors published, in place of captures and of trainings.
#
# In: the files that `published` of a data set names.
# Out: results/{dataset}/dataset.h5 with its reports and counts, as of captures, and of each of its nets
# results/{dataset}/{model}/weights.safetensors.


rule import_published:
    """The authors' published flows as a data set (Sec. II)."""
    input:
        unpack(published_inputs),
    output:
        output="results/{dataset}/dataset.h5",
        report="results/{dataset}/dataset_report.csv",
        label_report="results/{dataset}/label_report.csv",
        counts="results/{dataset}/attack_counts.csv",
    log:
        "results/{dataset}/logs/import_published.log",
    benchmark:
        "results/{dataset}/benchmarks/import_published.tsv"
    wildcard_constraints:
        dataset=one_of(imported()),
    conda:
        "../../envs/torch.yaml"
    resources:
        runtime=growing(120),
        mem_mb=growing(16000),
    params:
        script=script("import_published.py"),
        code=code("import_published.py"),
        inputs=inputs_by_name,
        outputs=outputs_by_name,
        options=lambda wildcards: import_options(wildcards.dataset),
    shell:
        "python {params.script:q} {params.inputs} {params.outputs} {params.options} 2> {log:q}"


use rule import_published as import_net with:
    input:
        unpack(net_inputs),
    output:
        weights="results/{dataset}/{model}/weights.safetensors",
    log:
        "results/{dataset}/logs/{model}/import_net.log",
    benchmark:
        "results/{dataset}/benchmarks/{model}/import_net.tsv"
    wildcard_constraints:
        dataset=pair_of(imported_nets()),
    resources:
        runtime=growing(10),
        mem_mb=growing(4000),
    params:
        script=script("import_published.py"),
        code=code("import_published.py"),
        inputs=inputs_by_name,
        outputs=outputs_by_name,
        options="",
