<?php
// A day of a till in five minutes: sells, loses an answer, credits, is refused, prints, closes the day.
//
//     GATEWAY=http://127.0.0.1:8487 TOKEN=fsc_... php till.php T1-
//
// The argument begins all invoice numbers; give another one each time. GATEWAY_CA names the certificate of a gateway
// on another machine; TILL_FOLDER is where the till keeps what it sends and prints (`till-folder`).

require __DIR__ . '/FiscalGateway.php';

const BREAD = [
    'receiptLineType' => 'Sale',
    'receiptLineName' => 'Bread',
    'receiptLineHSCode' => '19059090',
    'receiptLinePrice' => '1.20',
    'receiptLineQuantity' => '2',
    'taxPercent' => '15.5',
];
const APPLES = [
    'receiptLineType' => 'Sale',
    'receiptLineName' => 'Apples',
    'receiptLineHSCode' => '08081000',
    'receiptLinePrice' => '3.99',
    'receiptLineQuantity' => '0.555',
    'taxPercent' => '0',
];

function sale(string $number, array $lines, array $payments, array $printed = []): array
{
    return [
        'receiptType' => 'FiscalInvoice',
        'receiptCurrency' => 'USD',
        'invoiceNo' => $number,
        'receiptLinesTaxInclusive' => true,
        'receiptLines' => $lines,
        'receiptPayments' => $payments,
        'cashier' => 'Rudo',
    ] + $printed;
}

function payment(string $how, string $amount): array
{
    return ['moneyTypeCode' => $how, 'paymentAmount' => $amount];
}

$folder = getenv('TILL_FOLDER') ?: 'till-folder';
$first = $argv[1] ?? 'T1-';
$gateway = new Gateway(getenv('GATEWAY'), getenv('TOKEN'), $folder, getenv('GATEWAY_CA') ?: null);

// Into a file here; in a shop to the printer's port.
$putOnPaper = fn($receipt) => file_put_contents("$folder/$receipt[invoiceNo].prn", Gateway::escpos($receipt));

$till = $gateway->get('/v1/status')['tills'][0];
echo "till $till[deviceID] ($till[environment]), FDMS {$till['link']['state']}\n";
foreach ($gateway->resume() as $receipt) {
    echo "from before: receipt $receipt[receiptGlobalNo] of $receipt[invoiceNo]\n";
}

// A sale with cash and a card: 2.40 and 2.21 are 4.61. The gateway computes totals and taxes.
$number = "{$first}1";
$payments = [payment('Cash', '2.61'), payment('Card', '2.00')];
$receipt = $gateway->sell($number, sale($number, [BREAD, APPLES], $payments, ['tendered' => '5.00', 'change' => '2.39']));
$putOnPaper($receipt);
echo "sale $number: receipt $receipt[receiptGlobalNo], USD $receipt[receiptTotal]\n";
echo "  verification code $receipt[verificationCode], FDMS {$receipt['fdms']['state']}\n";
echo "  QR $receipt[qrData]\n";

// A sale paid in two currencies, and its answer is lost. The power may as well have failed: after a start resume()
// finds the sale in the folder, and the gateway answers the receipt that it issued the first time.
$number = "{$first}2";
$payments = [payment('Cash', '1.50'), payment('Cash', '0.90')];
$two = sale($number, [BREAD], $payments, ['footerLines' => ['Paid: ZWG 40.05 at 26.70 = USD 1.50', 'Paid: USD 0.90']]);
$body = $gateway->noteDown($number, '/v1/receipts', $two);
[$status, $why] = $gateway->exchange('POST', '/v1/receipts', $body, $number, lose: true);
echo "sale $number: the line broke in mid-answer ($status, $why)\n";
foreach ($gateway->resume() as $receipt) {
    $putOnPaper($receipt);
    echo "sale $number: asked again: receipt $receipt[receiptGlobalNo]\n";
}

// A sale that breaks a rule uses no number; the problem says where and what to do.
$number = "{$first}3";
try {
    $gateway->sell($number, sale($number, [['receiptLineQuantity' => '-2'] + BREAD], [payment('Cash', '2.40')]));
} catch (Refused $refused) {
    $problem = $refused->problem;
    echo "sale $number: refused, $problem[code] at $problem[pointer]: $problem[action]\n";
}

// One bread comes back: found by the number on the customer's paper, credited by reference.
$original = $gateway->get("/v1/receipts?invoiceNo={$first}1")['receipts'][0]['receiptGlobalNo'];
$number = "{$first}4";
$lines = [['receiptLineNo' => 1, 'quantity' => '1']];
$note = $gateway->credit($number, $original, ['invoiceNo' => $number, 'receiptNotes' => 'stale', 'lines' => $lines]);
$putOnPaper($note);
$left = $gateway->get("/v1/receipts/$original/creditable")['remaining'];
echo "credit note $number: receipt $note[receiptGlobalNo], USD $note[receiptTotal], $left left of $original\n";

$day = $gateway->closeDay();
echo "day $day[fiscalDayNo] $day[state], $day[receiptCounter] receipts\n";
echo $gateway->ask('GET', "/v1/days/$day[fiscalDayNo]/z?format=text&columns=42");
