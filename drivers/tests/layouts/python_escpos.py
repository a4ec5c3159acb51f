"""Prints rows (see sales.py) with python-escpos: stdin to stdout, each line with its bytes in base64."""

import base64
import json
import sys

from escpos.printer import Dummy


def fit(cells):
    return "".join(t.rjust(w) if a == "right" else t.ljust(w) for t, w, a in cells)


def render(rows, width):
    printer = Dummy()
    printer.hw("INIT")
    for row in rows:
        if row[0] == "center":
            printer.set(align="center", bold=True, double_width=row[2], double_height=row[2], normal_textsize=not row[2])
            printer.text(row[1] + "\n")
            printer.set(align="left", bold=False, normal_textsize=True)
        elif row[0] == "line":
            printer.text(row[1] + "\n")
        elif row[0] == "cols":
            printer.text(fit(row[1]) + "\n")
        else:
            printer.text(row[1] * width + "\n")
    printer.cashdraw(2)
    printer.cut()
    return printer.output


for line in sys.stdin:
    job = json.loads(line)
    data = render(job["rows"], job["width"])
    print(json.dumps({"bytes": base64.b64encode(data).decode(), "expected": job["expected"]}))
