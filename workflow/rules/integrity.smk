# Whether results are still what they were.
#
# In: whatever lies under results/, but what belongs to runs with a name; of such a run, what lies in its folder.
# Out: results/manifest.csv, the digests of all files.


rule record_results:
    """Digests of all results there are, after a look for damage in them; `--force record_results` records again."""
    output:
        manifest="results/manifest.csv",
    log:
        "results/logs/record_results.log",
    benchmark:
        "results/benchmarks/record_results.tsv"
    conda:
        "../../envs/torch.yaml"
    resources:
        runtime=growing(60),
        mem_mb=growing(4000),
    params:
        # No code=: an edited program would record anew, and `verify` compare what there is with itself.
        script=script("verify_results.py"),
        results=results_folder(),
    shell:
        "python {params.script:q} --record --results {params.results} --manifest {output.manifest:q} 2> {log:q}"


rule verify:
    """Whether every result is as it was recorded, undamaged, and made of the inputs beside it."""
    input:
        manifest="results/manifest.csv",
    log:
        "results/logs/verify.log",
    # No file at all comes of it, not even a benchmark: where one is there, Snakemake would not verify again.
    conda:
        "../../envs/torch.yaml"
    resources:
        runtime=growing(60),
        mem_mb=growing(4000),
    params:
        script=script("verify_results.py"),
        results=results_folder(),
    shell:
        "python {params.script:q} --results {params.results} --manifest {input.manifest:q} 2> {log:q}"
