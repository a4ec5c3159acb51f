"""Random receipts of three layouts, drawn from a seed: rows to print, and the sale that must be read from them.

One JSON object a line: {"rows": [...], "width": columns, "expected": {...}}. A row is
["center", text, big] | ["line", text] | ["cols", [[text, width, "left" | "right"], ...]] | ["rule", character].

usage: sales.py LAYOUT SEED COUNT     LAYOUT: one-line | two-line | comma
"""

import json
import random
import sys
from decimal import ROUND_HALF_UP, Decimal

GOODS = [
    "Bread 700g", "Mealie meal 10kg", "Coke 2L x6", "7UP 500ml", "Cooking oil", "Sugar 2.00kg", "A4 paper 80g",
    "Tea @ home", "Pen (blue)", "Rice & beans", "Nails 2in No 5", "Cr\u00e8me br\u00fbl\u00e9e", "Caf\u00e9 moulu", "Maheu",
    "Soap 5% off", "Airtime $5", "Eggs 30's", "Sadza/beef", "Milk, fresh", "T-shirt XL", "Bolt M8x40", "Pie",
    "Jam\u00f3n", "Candle 12-pack", "Batteries AA", "Matches", "Kapenta 1kg", "Total Oil 5L",
]
CENT = Decimal("0.01")


def cents(value):
    return value.quantize(CENT, rounding=ROUND_HALF_UP)


def english(value):
    return f"{value:,.2f}"


def comma(value):
    return f"{value:,.2f}".replace(",", "\0").replace(".", ",").replace("\0", ".")


class Receipt:
    """What is sold; the same for every layout."""

    def __init__(self, rng, marks, refund=False, voids=True, width=20):
        self.rng = rng
        self.lines = []  # name, quantity, price, total, mark, role
        big = rng.random() < 0.15
        for _ in range(rng.randint(1, 12)):
            name = rng.choice(GOODS)[:width].strip()
            quantity = Decimal(rng.choice([1, 1, 1, 2, 3, 5, 12]))
            if rng.random() < 0.1:
                quantity = Decimal(rng.randint(100, 4000)) / 1000
            top = 400000 if big else 3000
            price = cents(Decimal(rng.randint(5, top)) / 100)
            mark = rng.choice(list(marks))
            total = cents(quantity * price)
            if total == 0:
                continue
            self.lines.append((name, quantity, price, total, mark, "item"))
            if not refund and rng.random() < 0.12 and total > 1:
                off = cents(total / 10)
                self.lines.append(("10%", None, None, -off, mark, "discount"))
        items = [n for n, line in enumerate(self.lines) if line[5] == "item"]
        plain = [n for n in items if self.lines[n + 1 : n + 2] == [] or self.lines[n + 1][5] == "item"]
        self.kept = list(self.lines)
        if voids and not refund and len(items) > 2 and plain and rng.random() < 0.25:
            victim = self.lines[rng.choice(plain)]
            same = [n for n in items if self.lines[n][0] == victim[0] and self.lines[n][3] == victim[3]]
            if len(same) == 1:
                self.lines.append(victim[:5] + ("void",))
                self.kept.pop(same[0])
        self.total = sum((line[3] for line in self.kept), Decimal(0))
        self.day = f"{rng.randint(1, 28):02}", f"{rng.randint(1, 12):02}", "2026"
        self.time = f"{rng.randint(7, 21):02}:{rng.randint(0, 59):02}"
        self.number = str(rng.randint(1, 999999))

    def taxes(self, marks):
        for mark, percent in marks.items():
            gross = sum((line[3] for line in self.kept if line[4] == mark), Decimal(0))
            if any(line[4] == mark for line in self.kept):
                tax = cents(gross * percent / (100 + percent))
                yield mark, percent, gross, tax

    def payments(self, names):
        """Names with amounts, and change: cash is rounded up, cards are exact, or both."""
        rng = self.rng
        cash, others = names[0], names[1:]
        way = rng.random()
        if way < 0.4:
            given = cents((self.total / 5).to_integral_value(rounding="ROUND_CEILING") * 5)
            return [(cash, given)], given - self.total
        if way < 0.8 or self.total < 2:
            return [(rng.choice(others), self.total)], Decimal(0)
        part = cents(self.total / 2)
        return [(rng.choice(others), part), (cash, self.total - part)], Decimal(0)

    def expected(self, kind, rows, **more):
        sign = more.pop("sign", 1)
        lines = [
            [name, None if q is None else str(q), None if p is None else str(p), str(t), mark]
            for name, q, p, t, mark in rows
        ]
        return {"kind": kind, "lines": lines, "total": str(self.total * sign), **more}


def text(quantity, write=None):
    shown = f"{quantity:f}"
    return shown if write is None else shown.replace(".", ",")


def one_line(rng):
    marks = {"A": Decimal("15.5"), "B": Decimal(0), "C": Decimal(0)}
    refund = rng.random() < 0.1
    copy = not refund and rng.random() < 0.05
    r = Receipt(rng, marks, refund)
    sign = -1 if refund else 1
    date, number = "/".join(r.day), ("CN-" if refund else "INV-") + r.number
    till, cashier = f"{rng.randint(1, 9):02}", rng.choice(["Rudo", "Tendai M.", "Farai"])
    currency = rng.choice(["USD", "ZWG", "ZiG"])
    rows = [["center", "CORNER SHOP", True], ["center", "12 Samora Machel Ave, Harare", False]]
    title = "CREDIT NOTE" if refund else "*** DUPLICATE ***" if copy else "TAX INVOICE"
    rows.append(["center", title, False])
    rows.append(["cols", [[f"Receipt No: {number}", 28, "left"], [f"Till: {till}", 20, "right"]]])
    rows.append(["cols", [[f"Date: {date} {r.time}", 28, "left"], [f"Cashier: {cashier}", 20, "right"]]])
    original = f"INV-{rng.randint(1, 9999)}" if refund else None
    if refund:
        rows.append(["line", f"Original Receipt: {original}"])
    buyer = "ACME (Pvt) Ltd" if rng.random() < 0.3 else None
    tin = f"200{rng.randint(1000000, 9999999)}" if buyer else None
    if buyer:
        rows += [["line", f"Customer: {buyer}"], ["line", f"Customer TIN: {tin}"]]
    rows.append(["rule", "-"])
    rows.append(["cols", [["DESCRIPTION", 18, "left"], ["QTY", 7, "right"], ["PRICE", 10, "right"], ["AMOUNT", 13, "right"]]])
    rows.append(["rule", "-"])
    for name, quantity, price, total, mark, role in r.lines:
        if role == "item":
            cells = [[name[:15].strip(), 16, "left"], [f"{text(quantity * sign)} x", 8, "right"], [english(price), 11, "right"]]
            rows.append(["cols", cells + [[f"{english(total * sign)} {mark}", 13, "right"]]])
        elif role == "discount":
            rows.append(["cols", [["Discount 10%", 34, "left"], [english(total), 12, "right"], ["", 2, "left"]]])
        else:
            rows.append(["cols", [[f"VOID {name[:15].strip()}", 34, "left"], [f"{english(total)} {mark}", 14, "right"]]])
    rows.append(["rule", "-"])
    rows.append(["cols", [[f"TOTAL {currency}", 30, "left"], [english(r.total * sign), 18, "right"]]])
    ways = {"CASH": "cash", "VISA CARD": "card", "ECOCASH": "mobile"}
    payments, change = r.payments(list(ways))
    if refund:
        payments, change = [("CASH", r.total)], Decimal(0)
    for name, amount in payments:
        rows.append(["cols", [[name, 30, "left"], [english(amount * sign), 18, "right"]]])
    if change:
        rows.append(["cols", [["CHANGE", 30, "left"], [english(change), 18, "right"]]])
    for mark, percent, gross, tax in r.taxes(marks):
        cells = [[f"VAT {mark} {percent}%", 18, "left"], [english((gross - tax) * sign), 15, "right"]]
        rows.append(["cols", cells + [[english(tax * sign), 15, "right"]]])
    rows.append(["center", "Thank you, call again", False])
    kept = [
        ("Discount 10%" if role == "discount" else name[:15].strip(), q, p, t, None if role == "discount" else m)
        for name, q, p, t, m, role in r.kept
    ]
    kind = "refund" if refund else "reprint" if copy else "sale"
    expected = r.expected(
        kind, kept, receipt_no=number, date=date, time=r.time, till=till, cashier=cashier,
        currency="USD" if currency == "USD" else "ZWG", original=original, buyer=buyer, tin=tin,
        payments=[[ways[name], str(amount)] for name, amount in payments], change=str(change) if change else None,
    )
    return rows, 48, expected


def two_line(rng):
    marks = {"V": Decimal("15.5"), "Z": Decimal(0), "E": Decimal(0)}
    r = Receipt(rng, marks, width=30)
    date, number = f"{r.day[2]}-{r.day[1]}-{r.day[0]}", r.number.zfill(6)
    cashier = rng.choice(["Rudo", "Chipo N", "Blessing"])
    currency = rng.choice(["USD", "ZiG"])
    rows = [["center", "MUSASA STORES", True], ["line", f"Sale #{number}"], ["line", f"{date} {r.time}"]]
    rows += [["line", f"Served by {cashier}"], ["line", f"Currency: {currency}"], ["center", "-- ITEMS --", False]]
    for name, quantity, price, total, mark, role in r.lines:
        if role == "discount":
            rows.append(["cols", [["Less promotion 10%", 28, "left"], [english(total), 12, "right"], ["", 2, "left"]]])
            continue
        rows.append(["line", f"*VOID* {name}" if role == "void" else name])
        amount = english(total) if role == "void" else f"{english(total)} {mark}"
        rows.append(["cols", [[f"  {text(quantity)} @ {english(price)}", 26, "left"], [amount, 16, "right"]]])
    rows.append(["line", f"Items: {len(r.kept)}"])
    rows.append(["cols", [["AMOUNT DUE", 20, "left"], [english(r.total), 22, "right"]]])
    ways = {"Cash": "cash", "Swipe": "card", "EcoCash": "mobile"}
    payments, change = r.payments(list(ways))
    for name, amount in payments:
        rows.append(["cols", [[f"Paid {name}", 20, "left"], [english(amount), 22, "right"]]])
    if change:
        rows.append(["cols", [["Tendered", 20, "left"], [english(r.total + change), 22, "right"]]])
        rows.append(["cols", [["Change", 20, "left"], [english(change), 22, "right"]]])
    for mark, percent, gross, tax in r.taxes(marks):
        rows.append(["cols", [[f"Tax {mark} {percent}%", 20, "left"], [english(tax), 22, "right"]]])
    rows.append(["center", "Goods once sold are not returnable", False])
    kept = [
        ("Less promotion 10%" if role == "discount" else name, q, p, t, None if role == "discount" else m)
        for name, q, p, t, m, role in r.kept
    ]
    expected = r.expected(
        "sale", kept, receipt_no=number, date=date, time=r.time, till=None, cashier=cashier,
        currency="USD" if currency == "USD" else "ZWG", original=None, buyer=None, tin=None,
        payments=[[ways[name], str(amount)] for name, amount in payments], change=str(change) if change else None,
    )
    return rows, 42, expected


def comma_layout(rng):
    marks = {"1": Decimal("15.5"), "2": Decimal(0)}
    r = Receipt(rng, marks, voids=False, width=16)
    date, number, till = ".".join(r.day), r.number, str(rng.randint(1, 4))
    currency = rng.choice(["USD", "ZWG"])
    rows = [["center", "CHEZ MARIE", True], ["line", f"Bon: {number}"], ["line", f"Le {date} a {r.time}"]]
    rows += [["line", f"Caisse {till}"], ["rule", "="]]
    kept = []
    for name, quantity, price, total, mark, role in r.lines:
        if role == "discount":
            rows.append(["cols", [["Rabais 10%", 18, "left"], [comma(total), 12, "right"], ["", 2, "left"]]])
            kept.append(("Rabais 10%", None, None, total, None))
            continue
        rows.append(["cols", [[name, 17, "left"], [f"{comma(total)} {mark}", 15, "right"]]])
        if quantity == 1:
            kept.append((name, None, None, total, mark))
        else:
            rows.append(["line", f"  {text(quantity, comma)} x {comma(price)}"])
            kept.append((name, quantity, price, total, mark))
    rows.append(["rule", "="])
    rows.append(["cols", [[f"SOMME {currency}", 14, "left"], [comma(r.total), 18, "right"]]])
    ways = {"ESPECES": "cash", "CARTE": "card"}
    payments, change = r.payments(list(ways))
    for name, amount in payments:
        rows.append(["cols", [[name, 14, "left"], [comma(amount), 18, "right"]]])
    if change:
        rows.append(["cols", [["RENDU", 14, "left"], [comma(change), 18, "right"]]])
    expected = r.expected(
        "sale", kept, receipt_no=number, date=date, time=r.time, till=till, cashier=None, currency=currency,
        original=None, buyer=None, tin=None,
        payments=[[ways[name], str(amount)] for name, amount in payments], change=str(change) if change else None,
    )
    return rows, 32, expected


def slip(rng, width):
    if rng.random() < 0.5:
        rows = [["center", f"KITCHEN ORDER {rng.randint(1, 99)}", True]]
        rows += [["line", f"{rng.randint(1, 4)} {rng.choice(GOODS)}"] for _ in range(rng.randint(1, 6))]
    else:
        amount = english(Decimal(rng.randint(100, 99999)) / 100)
        rows = [["center", "CARDHOLDER COPY", False], ["line", f"AID A000000{rng.randint(1000, 9999)}"]]
        rows += [["cols", [["TOTAL USD", 14, "left"], [amount, width - 14, "right"]]], ["line", "APPROVED"]]
    return rows, width, {"kind": "passthrough"}


LAYOUTS = {"one-line": (one_line, 48), "two-line": (two_line, 42), "comma": (comma_layout, 32)}


def main():
    layout, seed, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    make, width = LAYOUTS[layout]
    rng = random.Random(f"{layout} {seed}")
    made = 0
    while made < count:
        rows, width, expected = slip(rng, width) if rng.random() < 0.06 else make(rng)
        if expected["kind"] != "passthrough" and Decimal(expected["total"]) <= 0 and not expected.get("original"):
            continue
        if expected["kind"] == "refund":
            expected["total"] = expected["total"].lstrip("-")
        print(json.dumps({"rows": rows, "width": width, "expected": expected}))
        made += 1


if __name__ == "__main__":
    main()
