# The paper's figures, and one of the pair scores (Eq. 4).
#
# In: the CSV files of the stages before.
# Out: results/{dataset}/figures/*.{pdf,svg,png}.
# A target of each name makes it for every selected data set; plot_* makes it for one.


rule fig1:
    """Fig. 1: detection of attack flows, unmodified and under each attack."""
    input:
        expand("results/{dataset}/figures/fig1.pdf", dataset=config["selected_datasets"]),


rule fig2:
    """Fig. 2: success ratio and distance of the CW attack over kappa."""
    input:
        expand("results/{dataset}/figures/fig2.pdf", dataset=config["selected_datasets"]),


rule fig2_published:
    """Fig. 2 with the attack as the authors ran it; not among the defaults, as it takes long."""
    input:
        expand("results/{dataset}/figures/fig2_published.pdf", dataset=config["selected_datasets"]),


rule fig3:
    """Fig. 3: recall and Adversarial Robustness Score per attack type."""
    input:
        expand("results/{dataset}/figures/fig3.pdf", dataset=config["selected_datasets"]),


rule fig4:
    """Fig. 4: importance of the features by all metrics."""
    input:
        expand("results/{dataset}/figures/fig4.pdf", dataset=config["selected_datasets"]),


rule pair_scores:
    """Pair scores (Eq. 4): how much of what one feature knows another knows as well."""
    input:
        expand("results/{dataset}/figures/pair_scores.pdf", dataset=config["selected_datasets"]),


rule shapley:
    """Shapley values of the features beside what the loss of each alone costs."""
    input:
        expand("results/{dataset}/figures/shapley.pdf", dataset=config["selected_datasets"]),


rule fig5:
    """Fig. 5: two distributions of equal accuracy and different mutual information."""
    input:
        expand("results/{dataset}/figures/fig5.pdf", dataset=config["selected_datasets"]),


rule fig6:
    """Fig. 6: partial dependence on selected features, per attack type."""
    input:
        with_variants("fig6"),


rule fig7:
    """Fig. 7: confidence after each packet, per attack type."""
    input:
        with_variants("fig7"),


rule fig8:
    """Fig. 8: sequential partial dependence, with original and adversarial flows."""
    input:
        with_variants("fig8"),


rule fig_steps:
    """At which packet which feature matters: perturbation, dropout and mutual information over the packets of a flow."""
    input:
        expand("results/{dataset}/figures/fig_steps.pdf", dataset=config["selected_datasets"]),


rule fig9:
    """Fig. 9: lengths and interarrival times over the packets of a flow."""
    input:
        expand("results/{dataset}/figures/fig9.pdf", dataset=config["selected_datasets"]),


rule fig10:
    """Fig. 10: robustness over the epochs of adversarial training."""
    input:
        expand("results/{dataset}/figures/fig10.pdf", dataset=config["selected_datasets"]),


rule fig_detection:
    """Precision over recall, and missed attacks over false alarms, of the selected models."""
    input:
        expand("results/{dataset}/figures/fig_detection.pdf", dataset=config["selected_datasets"]),


rule plot_fig1:
    """A figure of one data set; those below differ in what they read and draw."""
    input:
        comparison="results/{dataset}/baseline/attacks/comparison.csv",
    output:
        **figure("fig1", "Attacks and robustness", "Fig. 1: detection under attack"),
    log:
        "results/{dataset}/logs/plot_fig1.log",
    benchmark:
        "results/{dataset}/benchmarks/plot_fig1.tsv"
    conda:
        "../../envs/plot.yaml"
    resources:
        runtime=growing(30),
        mem_mb=growing(2000),
    params:
        script=script("plot_fig1.py"),
        code=code("plot_fig1.py"),
        inputs=inputs_by_name,
        size=figure_size(),
    shell:
        "python {params.script:q} {params.inputs} --output {output.pdf:q} --svg {output.svg:q}"
        " --png {output.png:q} {params.size} 2> {log:q}"


use rule plot_fig1 as plot_fig2 with:
    input:
        summary="results/{dataset}/baseline/attacks/cw{variant}/summary.csv",
    output:
        **figure("fig2{variant}", "Attacks and robustness", "Fig. 2{variant}: CW over kappa", caption="fig2"),
    log:
        "results/{dataset}/logs/plot_fig2{variant}.log",
    benchmark:
        "results/{dataset}/benchmarks/plot_fig2{variant}.tsv"
    wildcard_constraints:
        variant="|_published",
    params:
        script=script("plot_fig2.py"),
        code=code("plot_fig2.py"),


use rule plot_fig1 as plot_fig3 with:
    input:
        recall="results/{dataset}/baseline/recall.csv",
        ars="results/{dataset}/baseline/ars.csv",
    output:
        **figure("fig3", "Attacks and robustness", "Fig. 3: recall and ARS"),
    log:
        "results/{dataset}/logs/plot_fig3.log",
    benchmark:
        "results/{dataset}/benchmarks/plot_fig3.tsv"
    params:
        script=script("plot_fig3.py"),
        code=code("plot_fig3.py"),


use rule plot_fig1 as plot_fig4 with:
    input:
        importance=[
            "results/{dataset}/baseline/explanations/weights.csv",
            "results/{dataset}/baseline/explanations/input_perturbation.csv",
            "results/{dataset}/feature_dropout/explanations/feature_dropout.csv",
            "results/{dataset}/feature_dropout/explanations/shapley.csv",
            "results/{dataset}/baseline/explanations/mutual_information.csv",
        ],
    output:
        **figure("fig4", "Explanations", "Fig. 4: importance of features"),
    log:
        "results/{dataset}/logs/plot_fig4.log",
    benchmark:
        "results/{dataset}/benchmarks/plot_fig4.tsv"
    params:
        script=script("plot_fig4.py"),
        code=code("plot_fig4.py"),


use rule plot_fig1 as plot_pair_scores with:
    input:
        pair_scores="results/{dataset}/feature_dropout/explanations/pair_scores.csv",
    output:
        **figure("pair_scores", "Explanations", "Eq. 4: pair scores"),
    log:
        "results/{dataset}/logs/plot_pair_scores.log",
    benchmark:
        "results/{dataset}/benchmarks/plot_pair_scores.tsv"
    params:
        script=script("plot_pair_scores.py"),
        code=code("plot_pair_scores.py"),


use rule plot_fig1 as plot_shapley with:
    input:
        shapley="results/{dataset}/feature_dropout/explanations/shapley.csv",
        drops="results/{dataset}/feature_dropout/explanations/feature_dropout.csv",
    output:
        **figure("shapley", "Explanations", "Shapley values"),
    log:
        "results/{dataset}/logs/plot_shapley.log",
    benchmark:
        "results/{dataset}/benchmarks/plot_shapley.tsv"
    params:
        script=script("plot_shapley.py"),
        code=code("plot_shapley.py"),


use rule plot_fig1 as plot_fig5 with:
    input:
        distributions="results/fig5.csv",
    output:
        **figure("fig5", "Explanations", "Fig. 5: equal accuracy"),
    log:
        "results/{dataset}/logs/plot_fig5.log",
    benchmark:
        "results/{dataset}/benchmarks/plot_fig5.tsv"
    params:
        script=script("plot_fig5.py"),
        code=code("plot_fig5.py"),


use rule plot_fig1 as plot_fig6 with:
    input:
        dependence=of_compared_models("pdp.csv"),
        values=lambda wildcards: of_compared_models("pdp_values.csv")(wildcards)[0],
    output:
        **figure("fig6{variant}", "Explanations", "Fig. 6{variant}: partial dependence", caption="fig6"),
    log:
        "results/{dataset}/logs/plot_fig6{variant}.log",
    benchmark:
        "results/{dataset}/benchmarks/plot_fig6{variant}.tsv"
    params:
        script=script("plot_fig6.py"),
        code=code("plot_fig6.py"),


use rule plot_fig1 as plot_fig7 with:
    input:
        confidence=of_compared_models("confidence.csv"),
    output:
        **figure("fig7{variant}", "Explanations", "Fig. 7{variant}: confidence per packet", caption="fig7"),
    log:
        "results/{dataset}/logs/plot_fig7{variant}.log",
    benchmark:
        "results/{dataset}/benchmarks/plot_fig7{variant}.tsv"
    params:
        script=script("plot_fig7.py"),
        code=code("plot_fig7.py"),


use rule plot_fig1 as plot_fig8 with:
    input:
        dependence=of_compared_models("sequential_pdp.csv"),
        means=of_compared_models("sequential_means.csv"),
    output:
        **figure("fig8{variant}", "Explanations", "Fig. 8{variant}: sequential dependence", caption="fig8"),
    log:
        "results/{dataset}/logs/plot_fig8{variant}.log",
    benchmark:
        "results/{dataset}/benchmarks/plot_fig8{variant}.tsv"
    params:
        script=script("plot_fig8.py"),
        code=code("plot_fig8.py"),


use rule plot_fig1 as plot_steps with:
    input:
        steps=[
            "results/{dataset}/baseline/explanations/input_perturbation_steps.csv",
            "results/{dataset}/feature_dropout/explanations/feature_dropout_steps.csv",
            "results/{dataset}/baseline/explanations/mutual_information_steps.csv",
        ],
    output:
        **figure("fig_steps", "Explanations", "Which packet matters"),
    log:
        "results/{dataset}/logs/plot_steps.log",
    benchmark:
        "results/{dataset}/benchmarks/plot_steps.tsv"
    params:
        script=script("plot_steps.py"),
        code=code("plot_steps.py"),


use rule plot_fig1 as plot_fig9 with:
    input:
        trajectories="results/{dataset}/trajectories.csv",
    output:
        **figure("fig9", "Explanations", "Fig. 9: flows over time"),
    log:
        "results/{dataset}/logs/plot_fig9.log",
    benchmark:
        "results/{dataset}/benchmarks/plot_fig9.tsv"
    params:
        script=script("plot_fig9.py"),
        code=code("plot_fig9.py"),


use rule plot_fig1 as plot_fig10 with:
    input:
        scores="results/{dataset}/adversarial_training/ars_by_epoch.csv",
        before="results/{dataset}/baseline/robustness.csv",
        after="results/{dataset}/adversarial_training/robustness.csv",
    output:
        **figure("fig10", "Defences", "Fig. 10: adversarial training"),
    log:
        "results/{dataset}/logs/plot_fig10.log",
    benchmark:
        "results/{dataset}/benchmarks/plot_fig10.tsv"
    params:
        script=script("plot_fig10.py"),
        code=code("plot_fig10.py"),


use rule plot_fig1 as plot_detection with:
    input:
        curves="results/{dataset}/detection_curves.csv",
        operating_points="results/{dataset}/operating_points.csv",
    output:
        **figure("fig_detection", "Data and detection", "Detection against false alarms"),
    log:
        "results/{dataset}/logs/plot_detection.log",
    benchmark:
        "results/{dataset}/benchmarks/plot_detection.tsv"
    params:
        script=script("plot_detection.py"),
        code=code("plot_detection.py"),


use rule plot_fig1 as plot_agreement with:
    input:
        agreement="results/{dataset}/tables/agreement.csv",
        by_type="results/{dataset}/tables/agreement_by_type.csv",
    output:
        **figure("agreement", "Explanations", "Do explanations predict attacks?", caption="table_agreement"),
    log:
        "results/{dataset}/logs/plot_agreement.log",
    benchmark:
        "results/{dataset}/benchmarks/plot_agreement.tsv"
    params:
        script=script("plot_agreement.py"),
        code=code("plot_agreement.py"),
