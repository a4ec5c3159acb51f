#!/usr/bin/env bash
# A fiscal device in curl and openssl: it registers, opens a day, sells twice and closes the day.
set -euo pipefail
fdms=${FDMS:-https://127.0.0.1:8443} admin=${ADMIN:-http://127.0.0.1:8444}
device=${DEVICE:-42} serial=${SERIAL:-SN0001} key=${KEY:-12AXC178}
folder=${FOLDER:-$(mktemp -d)}
cd "$folder"

# The certificate to trust.
curl -sS --fail -o ca.pem "$admin/ca.pem"

# A P-256 key, and a request whose subject names the device: serial number, ID in ten digits.
openssl ecparam -name prime256v1 -genkey -noout -out device-key.pem
openssl req -new -sha256 -key device-key.pem -out device.csr \
  -subj "/C=ZW/ST=Zimbabwe/O=Zimbabwe Revenue Authority/CN=$(printf 'ZIMRA-%s-%010d' "$serial" "$device")"

# call METHOD PATH [BODY]: prints the answer; fails unless it is 200.
call() {
  echo "== $1 $2" >&2
  curl -sS --fail-with-body --cacert ca.pem "${identity[@]}" -X "$1" "$fdms$2" -d "${3-}" \
    -H 'Content-Type: application/json' -H 'DeviceModelName: Server' -H 'DeviceModelVersion: v1' | tee /dev/stderr
  echo >&2
}

# RegisterDevice; from here on the certificate is shown in each connection.
identity=()
request=$(awk '{printf "%s\\n", $0}' device.csr)
call POST "/Public/v1/$device/RegisterDevice" "{\"activationKey\": \"$key\", \"certificateRequest\": \"$request\"}" >registered.json
printf '%b' "$(sed 's/.*"certificate":"\([^"]*\)".*/\1/' registered.json)" >device.pem
identity=(--cert device.pem --key device-key.pem)

call GET "/Device/v1/$device/GetConfig" >config.json
call GET "/Device/v1/$device/GetStatus" >status.json

# Times are Zimbabwe's. A receipt must be later than the opening, and than the receipt before it.
local_time() { TZ=CAT-2 date -d "@$(($(date +%s) - $1))" +%Y-%m-%dT%H:%M:%S; }
opened=$(local_time 60)
call POST "/Device/v1/$device/OpenDay" "{\"fiscalDayOpened\": \"$opened\"}" >day.json
day=$(sed 's/.*"fiscalDayNo":\([0-9]*\).*/\1/' day.json)

# signed STRING: hash and signature over it, as FDMS wants them.
signed() {
  local hash signature
  hash=$(printf %s "$1" | openssl dgst -sha256 -binary | openssl base64 -A)
  signature=$(printf %s "$1" | openssl dgst -sha256 -sign device-key.pem | openssl base64 -A)
  printf '{"hash": "%s", "signature": "%s"}' "$hash" "$signature"
}

# sell NUMBER DATE PREVIOUS_HASH: a loaf at 10.00, 15.5 % of VAT in it. Signed are device, type, currency,
# number, date and total in cents, then of each tax its percent, tax and sales in cents, then the hash of
# the day's receipt before.
sell() {
  local signature
  signature=$(signed "${device}FISCALINVOICEUSD${1}${2}100015.501341000${3}")
  call POST "/Device/v1/$device/SubmitReceipt" "{\"receipt\": {
    \"receiptType\": \"FiscalInvoice\", \"receiptCurrency\": \"USD\", \"receiptCounter\": $1,
    \"receiptGlobalNo\": $1, \"invoiceNo\": \"$serial-$1\", \"receiptDate\": \"$2\",
    \"receiptLinesTaxInclusive\": true,
    \"receiptLines\": [{\"receiptLineType\": \"Sale\", \"receiptLineNo\": 1, \"receiptLineHSCode\": \"19059090\",
      \"receiptLineName\": \"Bread\", \"receiptLinePrice\": 10.00, \"receiptLineQuantity\": 1,
      \"receiptLineTotal\": 10.00, \"taxID\": 517, \"taxPercent\": 15.50}],
    \"receiptTaxes\": [{\"taxID\": 517, \"taxPercent\": 15.50, \"taxAmount\": 1.34, \"salesAmountWithTax\": 10.00}],
    \"receiptPayments\": [{\"moneyTypeCode\": \"Cash\", \"paymentAmount\": 10.00}],
    \"receiptTotal\": 10.00, \"receiptDeviceSignature\": $signature}}" >"receipt-$1.json"
  last_hash=$(printf %s "$signature" | sed 's/.*"hash": "\([^"]*\)".*/\1/')
}
sell 1 "$(local_time 30)" ""
sell 2 "$(local_time 20)" "$last_hash"

# The day's counters in the order of their names in the specification, each name in upper case.
counters="SALEBYTAXUSD15.502000SALETAXBYTAXUSD15.50268BALANCEBYMONEYTYPEUSDCASH2000"
call POST "/Device/v1/$device/CloseDay" "{\"fiscalDayNo\": $day, \"receiptCounter\": 2,
  \"fiscalDayCounters\": [
    {\"fiscalCounterType\": \"SaleByTax\", \"fiscalCounterCurrency\": \"USD\", \"fiscalCounterTaxID\": 517,
     \"fiscalCounterTaxPercent\": 15.50, \"fiscalCounterValue\": 20.00},
    {\"fiscalCounterType\": \"SaleTaxByTax\", \"fiscalCounterCurrency\": \"USD\", \"fiscalCounterTaxID\": 517,
     \"fiscalCounterTaxPercent\": 15.50, \"fiscalCounterValue\": 2.68},
    {\"fiscalCounterType\": \"BalanceByMoneyType\", \"fiscalCounterCurrency\": \"USD\",
     \"fiscalCounterMoneyType\": \"Cash\", \"fiscalCounterValue\": 20.00}],
  \"fiscalDayDeviceSignature\": $(signed "${device}${day}${opened%T*}${counters}")}" >closed.json
call GET "/Device/v1/$device/GetStatus" >status.json

if grep -l validationErrors receipt-*.json; then
  echo "a receipt is coloured: see $admin/devices/$device/page" >&2
  exit 1
fi
echo "registered, sold twice, day closed: see $admin/devices/$device/page; files are in $folder"
