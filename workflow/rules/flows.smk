# Captures to a labelled data set.
#
# In: the captures and label rules that `datasets` describes.
# Out: results/{dataset}/flows/{capture}.h5, then results/{dataset}/dataset.h5 with its reports and counts.


rule extract_flows:
    """Flows of one capture (Sec. II)."""
    input:
        pcap=capture_file,
    output:
        flows="results/{dataset}/flows/{capture}.h5",
    log:
        "results/{dataset}/logs/extract_flows/{capture}.log",
    benchmark:
        "results/{dataset}/benchmarks/extract_flows/{capture}.tsv"
    conda:
        "../../envs/flows.yaml"
    resources:
        runtime=growing(240),
        mem_mb=growing(4000),
    params:
        script=script("extract_flows.py"),
        code=code("extract_flows.py"),
        options=lambda wildcards: extraction_options(wildcards.dataset, wildcards.capture),
    shell:
        "python {params.script:q} --pcap {input.pcap:q} --output {output.flows:q} --name {wildcards.capture:q}"
        " {params.options} 2> {log:q}"


rule build_dataset:
    """Labelled, split and normalised flows of a data set (Sec. II)."""
    input:
        flows=lambda wildcards: expand(
            "results/{{dataset}}/flows/{capture}.h5", capture=captures(wildcards.dataset)
        ),
        labels=label_files,
    output:
        dataset="results/{dataset}/dataset.h5",
        report="results/{dataset}/dataset_report.csv",
        label_report="results/{dataset}/label_report.csv",
        counts="results/{dataset}/attack_counts.csv",
    log:
        "results/{dataset}/logs/build_dataset.log",
    benchmark:
        "results/{dataset}/benchmarks/build_dataset.tsv"
    conda:
        "../../envs/flows.yaml"
    resources:
        runtime=growing(120),
        mem_mb=growing(16000),
    params:
        script=script("build_dataset.py"),
        code=code("build_dataset.py"),
        options=lambda wildcards: dataset_options(wildcards.dataset),
    shell:
        "python {params.script:q} --flows {input.flows:q} --labels {input.labels:q} --output {output.dataset:q}"
        " --report {output.report:q} --label-report {output.label_report:q} --counts {output.counts:q}"
        " {params.options} 2> {log:q}"
