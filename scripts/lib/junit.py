"""How many tests ran, of nextest's report, as the figures of scripts/test.

    python3 scripts/lib/junit.py target/nextest/default/junit.xml
"""

import json
import sys
import xml.etree.ElementTree as xml


def figures(root):
    """Tests, those that failed, those that held only the second time; and of them the attacks."""
    cases = list(root.iter("testcase"))
    attacks = [case for case in cases if "attack" in case.get("name").split("::")[:-1]]

    def failed(those):
        return sum(case.find("failure") is not None or case.find("error") is not None for case in those)

    return {
        "tests": len(cases),
        "failures": failed(cases),
        "flaky": sum(case.find("flakyFailure") is not None for case in cases),
        "attacks": len(attacks),
        "attacksFailed": failed(attacks),
    }


print(json.dumps(figures(xml.parse(sys.argv[1]).getroot())))
