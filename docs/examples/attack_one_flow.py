"""From the shipped captures and the shipped detector to one flow, attacked and explained: half a minute.

python docs/examples/attack_one_flow.py    after `pip install .`, or with PYTHONPATH=scripts
"""

import tempfile
from pathlib import Path

import rnnids

REPOSITORY = Path(__file__).resolve().parents[2]
with tempfile.TemporaryDirectory() as folder:
    files = []
    for capture in sorted(REPOSITORY.glob("resources/lab/*.pcap.gz")):
        files.append(Path(folder, f"{capture.name}.h5"))
        rnnids.extract_flows(capture, files[-1])
    rnnids.build_dataset(files, REPOSITORY / "config/labels/lab.csv", Path(folder, "dataset.h5"))
    flows = rnnids.load_dataset(Path(folder, "dataset.h5"), "test")

detector = rnnids.load_detector(REPOSITORY / "resources/models/lab_baseline.safetensors", flows)
flow = flows.take(flows.flows["attack"] == flows.attacks.index("DoS Hulk")).take([0])
attacked = rnnids.CarliniWagner(kappa=1)(detector, flow)
print(f"DoS Hulk, logit {attacked.original_logit[0]:.2f}, of {flow.packet_count[0]} packets")
print(f"attacked: logit {attacked.logit[0]:.2f}, L1 distance {attacked.l1[0]:.2f}, success: {attacked.success[0]}")

dependence = rnnids.partial_dependence(detector, flow, feature="packet_length", grid_size=5)
for size, probability in zip(dependence.value, dependence.prediction, strict=True):
    print(f"every packet {size:.0f} bytes: attack probability {probability:.2f}")
