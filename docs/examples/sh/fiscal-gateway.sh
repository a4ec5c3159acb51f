# A till's side of the fiscal gateway, to source into a script: POSIX sh and curl. It needs GATEWAY, TOKEN and FOLDER,
# a folder that is kept across restarts, and takes GATEWAY_CA, the certificate of a gateway on another machine.
#
# Every sale is written into the folder before it is sent, and stays there until its receipt is there too: neither a
# lost answer nor a power cut loses a sale, or makes two of one.

# Seconds before each further try. What is still unanswered then stays in the folder; see `resume`.
PAUSES='0.2 0.5 1 2 4'

# exchange METHOD PATH [BODY-FILE KEY [ANSWER-FILE]]: one request; `status` is the answer's, or 000 where there is none.
exchange() {
  answer=${5:-$FOLDER/answer}
  # The token goes through a pipe: on the command line every user of the machine could read it.
  status=$(printf 'header = "Authorization: Bearer %s"\n' "$TOKEN" |
    curl -sS --config - --max-time 30 -o "$answer" -w '%{http_code}' -X "$1" \
      ${GATEWAY_CA:+--cacert "$GATEWAY_CA"} ${3:+--data-binary "@$3"} ${4:+-H "Idempotency-Key: $4"} \
      -H 'Content-Type: application/json' "$GATEWAY$2" 2>>"$FOLDER/curl.log") || status=000
}

# ask METHOD PATH [BODY-FILE KEY]: the very same request again where there was no answer (or 5xx). 0: answered, in
# $answer. 1: refused, nothing was issued; $answer is the problem document. 2: no answer after the last try.
ask() {
  for pause in 0 $PAUSES; do
    sleep "$pause"
    exchange "$@"
    case $status in
      2*) return 0 ;;
      4*) return 1 ;;
    esac
  done
  return 2
}

# note_down KEY PATH < BODY: writes a request down before it is sent: its path, and below that its body.
note_down() {
  { printf '%s\n' "$2"; cat; } > "$FOLDER/$1.half"
  sync "$FOLDER/$1.half"
  mv "$FOLDER/$1.half" "$FOLDER/$1.pending"
}

# ask_for KEY: the receipt of what is written down, into $FOLDER/KEY.receipt.
ask_for() {
  tail -n +2 "$FOLDER/$1.pending" > "$FOLDER/body"
  asked=0
  ask POST "$(head -n 1 "$FOLDER/$1.pending")" "$FOLDER/body" "$1" || asked=$?
  if [ "$asked" -eq 0 ]; then
    sync "$answer"
    mv "$answer" "$FOLDER/$1.receipt"
    rm "$FOLDER/$1.pending"
  elif [ "$asked" -eq 1 ] && [ "$status" != 401 ] && [ "$status" != 403 ]; then
    # A token can be mended, and the sale sent then; any other refusal says that there is no receipt.
    rm "$FOLDER/$1.pending"
  fi
  return "$asked"
}

# sell KEY < SALE: KEY names the sale for ever; make it once, when the sale is complete.
sell() { note_down "$1" /v1/receipts && ask_for "$1"; }

# credit KEY RECEIPT-GLOBAL-NO < NOTE: the credit note on a receipt of this till.
credit() { note_down "$1" "/v1/receipts/$2/credit" && ask_for "$1"; }

# resume: asks again for everything that has no receipt yet. At the start, and when the cashier says so.
resume() {
  for pending in "$FOLDER"/*.pending; do
    [ -e "$pending" ] || continue
    key=${pending##*/}
    key=${key%.pending}
    ask_for "$key" || return
  done
}

# close_day: closes the open day; naming the day makes it safe to ask again. `day` is its number.
close_day() {
  ask GET /v1/days/current || return
  day=$(member fiscalDayNo "$answer")
  ask POST "/v1/days/close?fiscalDayNo=$day"
}

# member NAME FILE: the first number or string of that name in an answer, which is the receipt's or the day's own.
member() {
  grep -oE "\"$1\":(\"[^\"]*\"|[^,}]*)" "$2" | head -n 1 | sed -E "s/^\"$1\"://; s/^\"(.*)\"\$/\1/"
}

# escpos KEY: a receipt or note as bytes for an ESC/POS printer: the gateway's lines, the QR code where it belongs.
escpos() {
  ask GET "/v1/receipts/$(member receiptGlobalNo "$FOLDER/$1.receipt")/text" || return
  content=$(member qrData "$FOLDER/$1.receipt")
  length=$((${#content} + 3))
  printf '\033@'
  while IFS= read -r line; do
    case $line in
      *'[QR code]'*)
        # In the middle; model 2, six dots a module, error correction M; the content; print it.
        printf '\033a\001\035(k\004\0001A2\000\035(k\003\0001C\006\035(k\003\0001E1'
        printf "\\035(k\\$(printf '%03o' $((length % 256)))\\$(printf '%03o' $((length / 256)))1P0%s" "$content"
        printf '\035(k\003\0001Q0\033a\000'
        ;;
      *) printf '%s\n' "$line" ;;
    esac
  done < "$answer"
  printf '\n\n\n\n\035V\000'
}
