"""What criterion has measured of the core, as the figures of scripts/bench core.

    python3 scripts/lib/criterion.py target/criterion

Each group has the members `ours` and `floor`: what we do, and what the library alone takes for the same bytes. Prints one
line of JSON and ends with 1 where a demand is missed.
"""

import json
import pathlib
import sys

# What a group may cost, in floors. A signature must be all that signing costs; the others have no demand.
MOST = {"sign-p256": 1.2, "verify-p256": 1.2, "sign-rsa2048": 1.1}
# A hundred lines against ten: no line may cost more because there are others.
MOST_HUNDRED_OVER_TEN = 12.0


def median(folder):
    estimates = json.loads((folder / "new" / "estimates.json").read_text())
    return estimates["median"]["point_estimate"]


def measured(root):
    """The figures by name: `hash_ns`, `hash_floors`."""
    figures, demands = {}, []
    for group in sorted(path.parent.parent for path in root.glob("*/ours/new")):
        ours, floor = median(group / "ours"), median(group / "floor")
        name = group.name.replace("-", "_")
        figures[f"{name}_ns"] = round(ours, 1)
        figures[f"{name}_floor_ns"] = round(floor, 1)
        figures[f"{name}_floors"] = round(ours / floor, 3)
        if group.name in MOST:
            demands.append({"figure": f"{name}_floors", "is": figures[f"{name}_floors"], "at_most": MOST[group.name]})
    ratio = round(figures["check_100_ns"] / figures["check_10_ns"], 3)
    figures["check_100_over_10"] = ratio
    demands.append({"figure": "check_100_over_10", "is": ratio, "at_most": MOST_HUNDRED_OVER_TEN})
    return {"command": "core", "optimised": True, **figures, "demands": demands}


def main():
    figures = measured(pathlib.Path(sys.argv[1]))
    print(json.dumps(figures))
    return int(any(demand["is"] > demand["at_most"] for demand in figures["demands"]))


sys.exit(main())
