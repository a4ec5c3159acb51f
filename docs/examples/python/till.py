"""A day of a till in five minutes: sells, loses an answer, credits, is refused, prints, closes the day.

    GATEWAY=http://127.0.0.1:8487 TOKEN=fsc_... python3 till.py T1-

The argument begins all invoice numbers; give another one each time. GATEWAY_CA names the certificate of a gateway
on another machine; TILL_FOLDER is where the till keeps what it sends and prints (`till-folder`).
"""

import os
import sys
from decimal import Decimal
from pathlib import Path

from fiscal_gateway import Gateway, Refused, escpos

FOLDER = Path(os.environ.get("TILL_FOLDER", "till-folder"))


def goods():
    """Two of one thing, and something weighed. The gateway computes totals and taxes; prices are Decimal."""
    return [
        {
            "receiptLineType": "Sale",
            "receiptLineName": "Bread",
            "receiptLineHSCode": "19059090",
            "receiptLinePrice": Decimal("1.20"),
            "receiptLineQuantity": 2,
            "taxPercent": Decimal("15.5"),
        },
        {
            "receiptLineType": "Sale",
            "receiptLineName": "Apples",
            "receiptLineHSCode": "08081000",
            "receiptLinePrice": Decimal("3.99"),
            "receiptLineQuantity": Decimal("0.555"),
            "taxPercent": 0,
        },
    ]


def sale(number, lines, payments, **printed):
    return {
        "receiptType": "FiscalInvoice",
        "receiptCurrency": "USD",
        "invoiceNo": number,
        "receiptLinesTaxInclusive": True,
        "receiptLines": lines,
        "receiptPayments": [{"moneyTypeCode": how, "paymentAmount": amount} for how, amount in payments],
        "cashier": "Rudo",
        **printed,
    }


def put_on_paper(receipt):
    """Into a file here; in a shop to the printer's port."""
    (FOLDER / (receipt["invoiceNo"] + ".prn")).write_bytes(escpos(receipt))


def main():
    first = sys.argv[1] if len(sys.argv) > 1 else "T1-"
    gateway = Gateway(os.environ["GATEWAY"], os.environ["TOKEN"], FOLDER, os.environ.get("GATEWAY_CA"))

    till = gateway.get("/v1/status")["tills"][0]
    print(f"till {till['deviceID']} ({till['environment']}), FDMS {till['link']['state']}")
    for receipt in gateway.resume():
        print(f"from before: receipt {receipt['receiptGlobalNo']} of {receipt['invoiceNo']}")

    # A sale with cash and a card: 2.40 and 2.21 are 4.61.
    number = first + "1"
    receipt = gateway.sell(
        number,
        sale(number, goods(), [("Cash", Decimal("2.61")), ("Card", Decimal("2.00"))], tendered="5.00", change="2.39"),
    )
    put_on_paper(receipt)
    print(f"sale {number}: receipt {receipt['receiptGlobalNo']}, USD {receipt['receiptTotal']}")
    print(f"  verification code {receipt['verificationCode']}, FDMS {receipt['fdms']['state']}")
    print(f"  QR {receipt['qrData']}")

    # A sale paid in two currencies, and its answer is lost. The power may as well have failed: after a start
    # `resume` finds the sale in the folder, and the gateway answers the receipt that it issued the first time.
    number = first + "2"
    two = sale(
        number,
        goods()[:1],
        [("Cash", Decimal("1.50")), ("Cash", Decimal("0.90"))],
        footerLines=["Paid: ZWG 40.05 at 26.70 = USD 1.50", "Paid: USD 0.90"],
    )
    body = gateway.note_down(number, "/v1/receipts", two)
    try:
        gateway.exchange("POST", "/v1/receipts", body, number, lose=True)
    except ConnectionError as error:
        print(f"sale {number}: {error}")
    for receipt in gateway.resume():
        put_on_paper(receipt)
        print(f"sale {number}: asked again: receipt {receipt['receiptGlobalNo']}")

    # A sale that breaks a rule uses no number; the problem says where and what to do.
    number = first + "3"
    wrong = goods()
    wrong[0]["receiptLineQuantity"] = -2
    try:
        gateway.sell(number, sale(number, wrong, [("Cash", Decimal("4.61"))]))
    except Refused as refused:
        print(f"sale {number}: refused, {refused.code} at {refused.pointer}: {refused.action}")

    # One bread comes back: found by the number on the customer's paper, credited by reference.
    original = gateway.get(f"/v1/receipts?invoiceNo={first}1")["receipts"][0]["receiptGlobalNo"]
    number = first + "4"
    note = gateway.credit(
        number,
        original,
        {"invoiceNo": number, "receiptNotes": "stale", "lines": [{"receiptLineNo": 1, "quantity": 1}]},
    )
    put_on_paper(note)
    left = gateway.get(f"/v1/receipts/{original}/creditable")["remaining"]
    print(f"credit note {number}: receipt {note['receiptGlobalNo']}, USD {note['receiptTotal']}, {left} left of {original}")

    day = gateway.close_day()
    print(f"day {day['fiscalDayNo']} {day['state']}, {day['receiptCounter']} receipts")
    print(gateway.text(f"/v1/days/{day['fiscalDayNo']}/z?format=text&columns=42"))


if __name__ == "__main__":
    main()
