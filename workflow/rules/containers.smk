# What `--sdm apptainer` needs besides the image: the folders that jobs read, and the GPU.

import os
import shutil
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake_interface_executor_plugins.settings import DeploymentMethod


def container_image():
    """The configured image; None unless rules are to run in it, since Snakemake refuses some paths even unused."""
    if DeploymentMethod.APPTAINER not in workflow.deployment_settings.deployment_method:
        return None
    image = config["container"]
    if "://" in image:
        return image
    if not Path(locate(image)).exists():
        raise WorkflowError(
            f"container: there is no image {image}. Build it beside the Snakefile, where there is a network:\n"
            f"  cd '{BASE}' && apptainer build '{image}' envs/container.def"
        )
    path = os.path.relpath(
        locate(image)
    )  # what Snakemake's own home is in the container need not be named then
    if " " in path:
        raise WorkflowError(
            f"container: Snakemake takes no blanks in an image's path; move or link it: {path}"
        )
    return path


def folders_to_bind():
    """The checkout, and the folders of captures and labels; links are followed."""
    files = [Path(file) for dataset in config["selected_datasets"] for file in files_at_hand(dataset)]
    folders = [BASE, *(path.absolute().parent for path in files), *(path.resolve().parent for path in files)]
    return [str(folder) for folder in dict.fromkeys(folders)]


def extend_containers():
    """Bind those folders, and pass on the GPU where there is one; for Snakemake's calls of Apptainer or Singularity."""
    prefix = "APPTAINER" if shutil.which("apptainer") else "SINGULARITY"
    bound = [os.environ.get(f"{prefix}_BIND", ""), *folders_to_bind()]
    os.environ[f"{prefix}_BIND"] = ",".join(filter(None, bound))
    if shutil.which("nvidia-smi"):  # comes with the driver
        os.environ[f"{prefix}_NV"] = "1"


if container_image():
    extend_containers()
