# Explainability and adversarial robustness of recurrent intrusion detectors: captures in, tables and figures out.
#
#   snakemake --cores 8 --use-conda           everything for the selected data sets and models
#   snakemake --cores 8 fig3                  one figure and what it needs
#   snakemake --list-target-rules             all tables and figures
#   snakemake -n --configfile my.yaml         what one's own configuration would run

from pathlib import Path

from snakemake.utils import min_version

min_version("9.0")


BASE = Path(workflow.current_basedir)  # also where this is a module of another workflow


configfile: BASE / "config/config.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/validation.smk"
include: "workflow/rules/captures.smk"
include: "workflow/rules/options.smk"
include: "workflow/rules/drawing.smk"
include: "workflow/rules/containers.smk"


check_directory()
config = with_defaults(config, BASE / "config/config.yaml", workflow.config_settings.config)
check_config(config, BASE / "workflow/schemas/config.schema.yaml", workflow.configfiles)
if config["run"]:
    keep_apart(config["run"])


container: container_image()


onstart:
    check_executor(workflow.executor_plugin)
    logger.info(described_run())


wildcard_constraints:
    dataset="[a-z0-9_]+",
    model=MODEL,
    capture="[^/]+",
    attack="cw|cw_published",
    method="pgd|fgsm",
    result=r"cw(_published)?/kappa_[0-9.]+|pgd|fgsm|search/(last|all)/[a-z0-9_]+",
    goal="last|all",
    format="pcap|pcapng",
    threat_model="[a-z0-9_]+",
    variant="|_[a-z0-9_]+",
    chunk="[1-9][0-9]*",
    chunks="[1-9][0-9]*",
    kappa=KAPPA,


include: "workflow/rules/flows.smk"
include: "workflow/rules/published.smk"
include: "workflow/rules/models.smk"
include: "workflow/rules/attacks.smk"
include: "workflow/rules/explanations.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/robustness.smk"
include: "workflow/rules/integrity.smk"
include: "workflow/rules/packets.smk"
include: "workflow/rules/detection.smk"
include: "workflow/rules/transfer.smk"
include: "workflow/rules/seeds.smk"
include: "workflow/rules/page.smk"


rule all:
    """Every table and figure of the selected data sets."""
    default_target: True
    input:
        rules.table1.input,
        rules.label_audit.input,
        rules.table2.input,
        rules.table3.input,
        rules.table_detection.input,
        rules.fig_detection.input,
        rules.fig1.input,
        rules.fig2.input,
        rules.fig3.input,
        rules.fig4.input,
        rules.pair_scores.input,
        rules.shapley.input,
        rules.fig5.input,
        rules.fig6.input,
        rules.fig7.input,
        rules.fig8.input,
        rules.fig_steps.input,
        rules.table_agreement.input,
        rules.sanity.input,
        rules.fig9.input,
        rules.fig10.input,
        rules.table_defences.input,
        rules.table_ars.input,
        rules.table_attacks.input,
        rules.budget.input,
        rules.table_round_trip.input,
        rules.jitter.input,
        rules.paper_comparison.input,
        rules.alerts.input,
        rules.table_latency.input,
        rules.latency.input,
        rules.table_transfer.input,
        rules.seeds.input if several_trainings() else [],
        rules.page.input,
