"""How many tests ran, of nextest's report, as the figures of scripts/test.

    python3 scripts/lib/junit.py target/nextest/default/junit.xml
"""

import json
import sys
import xml.etree.ElementTree as xml


def figures(root):
    """Tests, those that failed, and those that held only the second time."""
    cases = list(root.iter("testcase"))
    return {
        "tests": len(cases),
        "failures": sum(case.find("failure") is not None or case.find("error") is not None for case in cases),
        "flaky": sum(case.find("flakyFailure") is not None for case in cases),
    }


print(json.dumps(figures(xml.parse(sys.argv[1]).getroot())))
