"""How the table and the figure of early detection call what latency.csv holds."""

import re

TEST_FLOWS, UNMODIFIED = "test_flows", "unmodified"  # in the column `traffic`; what else stands there are attacks
BENIGN, ALL_ATTACKS = "Benign", "All attacks"  # in the column `attack`, besides the types
RATE = "false-alarm rate"  # in the column `threshold_from`, besides "logit 0"
CASE = ["traffic", "threshold_from", "rule"]


def traffic_label(traffic: str) -> str:
    """A value of the column `traffic` in words: cw_kappa_1 is "CW, \N{GREEK SMALL LETTER KAPPA} = 1"."""
    if traffic == TEST_FLOWS:
        return "All test flows"
    if traffic == UNMODIFIED:
        return "Attacked flows, unmodified"
    if found := re.fullmatch(r"cw_kappa_(.+)", traffic):
        return f"CW, \N{GREEK SMALL LETTER KAPPA} = {found[1]}"
    if found := re.fullmatch(r"search_(last|all)_(.+)", traffic):
        goal = "last packet" if found[1] == "last" else "all packets"
        return f"Search, {goal}, {found[2].replace('_', ' ')}"
    return traffic.upper()
