# Captures to a labelled data set.
#
# In: the captures and label rules that `datasets` describes.
# Out: results/{dataset}/flows/{capture}.h5, then results/{dataset}/dataset.h5 with its reports and counts.


rule check_datasets:
    """Whether the files of all selected data sets are there and whole, in a minute."""
    input:
        expand("results/{dataset}/file_check.csv", dataset=selected_captured()),


rule check_dataset:
    """Whether the files of one data set are there and whole."""
    input:
        lambda wildcards: files_at_hand(wildcards.dataset),  # what is missing is for the script to say
    output:
        csv="results/{dataset}/file_check.csv",
    log:
        "results/{dataset}/logs/check_dataset.log",
    benchmark:
        "results/{dataset}/benchmarks/check_dataset.tsv"
    conda:
        "../../envs/flows.yaml"
    resources:
        runtime=growing(30),
        mem_mb=growing(2000),
    params:
        script=script("check_dataset.py"),
        code=code("check_dataset.py"),
        captures=lambda wildcards: list(captures(wildcards.dataset).values()),
        labels=lambda wildcards: label_paths(wildcards.dataset),
        options=lambda wildcards: check_options(wildcards.dataset),
    shell:
        "python {params.script:q} --captures {params.captures:q} --labels {params.labels:q} --output {output.csv:q}"
        " {params.options} 2> {log:q}"


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
    threads: lambda wildcards, input: 2 if input.size_mb > 100 else 1  # a small one is mostly start-up
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
    wildcard_constraints:
        dataset=one_of(captured()),
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


rule label_audit:
    """Label audit: flows per rule, unlabelled neighbours of attacks, duplicates across training and test."""
    input:
        expand("results/{dataset}/tables/label_audit.html", dataset=selected_captured()),


rule audit_labels:
    """What in the labels of a data set deserves a look."""
    input:
        dataset="results/{dataset}/dataset.h5",
        label_report="results/{dataset}/label_report.csv",
        report="results/{dataset}/dataset_report.csv",
    output:
        csv="results/{dataset}/label_audit.csv",
        html=report(
            "results/{dataset}/tables/label_audit.html",
            caption="../report/label_audit.rst",
            category="Data and detection",
            labels={"data set": "{dataset}", "shows": "Label audit"},
        ),
        tex="results/{dataset}/tables/label_audit.tex",
    log:
        "results/{dataset}/logs/audit_labels.log",
    benchmark:
        "results/{dataset}/benchmarks/audit_labels.tsv"
    conda:
        "../../envs/flows.yaml"
    resources:
        runtime=growing(60),
        mem_mb=growing(4000),
    params:
        script=script("audit_labels.py"),
        code=code("audit_labels.py"),
        options=lambda wildcards: audit_options(wildcards.dataset),
    shell:
        "python {params.script:q} --dataset {input.dataset:q} --label-report {input.label_report:q}"
        " --report {input.report:q} --name {wildcards.dataset} --output {output.csv:q} --html {output.html:q}"
        " --latex {output.tex:q} {params.options} 2> {log:q}"
