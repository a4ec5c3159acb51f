#!/bin/sh
# A day of a till in five minutes: sells, loses an answer, credits, is refused, prints, closes the day.
#
#     GATEWAY=http://127.0.0.1:8487 TOKEN=fsc_... sh till.sh T1-
#
# The argument begins all invoice numbers; give another one each time. GATEWAY_CA names the certificate of a gateway
# on another machine; TILL_FOLDER is where the till keeps what it sends and prints (`till-folder`).
set -eu

first=${1:-T1-}
FOLDER=${TILL_FOLDER:-till-folder}
mkdir -p "$FOLDER"
. "$(dirname "$0")/fiscal-gateway.sh"

bread='{"receiptLineType": "Sale", "receiptLineName": "Bread", "receiptLineHSCode": "19059090",
  "receiptLinePrice": "1.20", "receiptLineQuantity": "2", "taxPercent": "15.5"}'
apples='{"receiptLineType": "Sale", "receiptLineName": "Apples", "receiptLineHSCode": "08081000",
  "receiptLinePrice": "3.99", "receiptLineQuantity": "0.555", "taxPercent": "0"}'

# sale NUMBER LINES PAYMENTS [MORE]
sale() {
  printf '{"receiptType": "FiscalInvoice", "receiptCurrency": "USD", "invoiceNo": "%s", "receiptLinesTaxInclusive": true,
    "receiptLines": [%s], "receiptPayments": [%s], "cashier": "Rudo"%s}' "$1" "$2" "$3" "${4:-}"
}

# put_on_paper KEY: into a file here; in a shop to the printer's port.
put_on_paper() { escpos "$1" > "$FOLDER/$1.prn"; }

ask GET /v1/status
echo "till $(member deviceID "$answer") ($(member environment "$answer")), FDMS $(grep -o '"link":{"state":"[a-zA-Z]*' "$answer" | head -n 1 | cut -d '"' -f 6)"
resume

# A sale with cash and a card: 2.40 and 2.21 are 4.61.
number=${first}1
sale "$number" "$bread, $apples" '{"moneyTypeCode": "Cash", "paymentAmount": "2.61"}, {"moneyTypeCode": "Card", "paymentAmount": "2.00"}' \
  ', "tendered": "5.00", "change": "2.39"' | sell "$number"
put_on_paper "$number"
receipt=$FOLDER/$number.receipt
original=$(member receiptGlobalNo "$receipt")
echo "sale $number: receipt $original, USD $(member receiptTotal "$receipt")"
echo "  verification code $(member verificationCode "$receipt"), FDMS $(grep -o '"fdms":{"state":"[a-zA-Z]*' "$receipt" | cut -d '"' -f 6)"
echo "  QR $(member qrData "$receipt")"

# A sale paid in two currencies, and its answer is lost: there is no room for it. The power may as well have failed:
# after a start `resume` finds the sale in the folder, and the gateway answers the receipt that it issued the first time.
number=${first}2
sale "$number" "$bread" '{"moneyTypeCode": "Cash", "paymentAmount": "1.50"}, {"moneyTypeCode": "Cash", "paymentAmount": "0.90"}' \
  ', "footerLines": ["Paid: ZWG 40.05 at 26.70 = USD 1.50", "Paid: USD 0.90"]' | note_down "$number" /v1/receipts
tail -n +2 "$FOLDER/$number.pending" > "$FOLDER/body"
exchange POST /v1/receipts "$FOLDER/body" "$number" /dev/full
[ "$status" = 000 ]
echo "sale $number: the line broke in mid-answer"
resume
put_on_paper "$number"
echo "sale $number: asked again: receipt $(member receiptGlobalNo "$FOLDER/$number.receipt")"

# A sale that breaks a rule uses no number; the problem says where and what to do.
number=${first}3
if sale "$number" "$(printf '%s' "$bread" | sed 's/"2"/"-2"/')" '{"moneyTypeCode": "Cash", "paymentAmount": "2.40"}' | sell "$number"; then
  exit 1
fi
echo "sale $number: refused, $(member code "$answer") at $(member pointer "$answer"): $(member action "$answer")"

# One bread comes back: found by the number on the customer's paper, credited by reference.
ask GET "/v1/receipts?invoiceNo=${first}1"
original=$(member receiptGlobalNo "$answer")
number=${first}4
printf '{"invoiceNo": "%s", "receiptNotes": "stale", "lines": [{"receiptLineNo": 1, "quantity": "1"}]}' "$number" |
  credit "$number" "$original"
put_on_paper "$number"
receipt=$FOLDER/$number.receipt
ask GET "/v1/receipts/$original/creditable"
echo "credit note $number: receipt $(member receiptGlobalNo "$receipt"), USD $(member receiptTotal "$receipt"), $(member remaining "$answer") left of $original"

close_day
echo "day $day $(member state "$answer"), $(member receiptCounter "$answer") receipts"
ask GET "/v1/days/$day/z?format=text&columns=42"
cat "$answer"
