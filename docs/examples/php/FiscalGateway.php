<?php
// A till's side of the fiscal gateway, to copy into your software: PHP 8.1 with its curl extension.
//
// Every sale is written into a folder before it is sent, and stays there until its receipt is there too: neither a
// lost answer nor a power cut loses a sale, or makes two of one. Amounts are strings on both ways.

/** The gateway refused (4xx): nothing was issued. Show `detail` and `action` to the cashier. */
class Refused extends Exception
{
    public function __construct(public readonly int $status, public readonly array $problem)
    {
        parent::__construct(($problem['code'] ?? '') . ': ' . ($problem['detail'] ?? ''));
    }
}

/** No answer, or the gateway is in trouble (5xx), also after the last try. The sale may have been issued. */
class Unanswered extends Exception
{
}

class Gateway
{
    /** Seconds before each try. What is still unanswered then stays in the folder; see resume(). */
    private const PAUSES = [0, 0.2, 0.5, 1, 2, 4];

    /** `$ca` is the certificate of a gateway on another machine; `$folder` is kept across restarts. */
    public function __construct(
        private string $address,
        private string $token,
        private string $folder,
        private ?string $ca = null,
    ) {
        if (!is_dir($folder)) {
            mkdir($folder, 0700, true);
        }
    }

    /** The receipt of a sale. `$key` names the sale for ever: make it once, when the sale is complete. */
    public function sell(string $key, array $sale): array
    {
        $this->noteDown($key, '/v1/receipts', $sale);
        return $this->askFor($key);
    }

    /** The credit note on a receipt of this till, by its receiptGlobalNo. */
    public function credit(string $key, int $number, array $note): array
    {
        $this->noteDown($key, "/v1/receipts/$number/credit", $note);
        return $this->askFor($key);
    }

    /** Asks again for everything that has no receipt yet: at the start, and when the cashier says so. */
    public function resume(): array
    {
        $waiting = glob("$this->folder/*.pending");
        usort($waiting, fn($one, $other) => filemtime($one) <=> filemtime($other));
        return array_map(fn($path) => $this->askFor(basename($path, '.pending')), $waiting);
    }

    /** Closes the open day and answers it; naming the day makes it safe to ask again. */
    public function closeDay(): array
    {
        $day = $this->get('/v1/days/current')['fiscalDayNo'];
        return self::read($this->ask('POST', "/v1/days/close?fiscalDayNo=$day"));
    }

    public function get(string $path): array
    {
        return self::read($this->ask('GET', $path));
    }

    /** Writes a request down before it is sent, and answers its body. */
    public function noteDown(string $key, string $path, array $document): string
    {
        $body = json_encode($document, JSON_THROW_ON_ERROR);
        $this->write("$key.pending", "$path\n$body");
        return $body;
    }

    private function askFor(string $key): array
    {
        $pending = "$this->folder/$key.pending";
        [$path, $body] = explode("\n", file_get_contents($pending), 2);
        try {
            $receipt = $this->ask('POST', $path, $body, $key);
        } catch (Refused $refused) {
            // A token can be mended, and the sale sent then; any other refusal says that there is no receipt.
            if (!in_array($refused->status, [401, 403])) {
                unlink($pending);
            }
            throw $refused;
        }
        $this->write("$key.receipt", $receipt);
        unlink($pending);
        return self::read($receipt);
    }

    /** First all of it, then its name: a power cut leaves no half of a file. */
    private function write(string $name, string $text): void
    {
        $half = "$this->folder/$name.half";
        $file = fopen($half, 'w');
        if (fwrite($file, $text) !== strlen($text) || !fsync($file)) {
            throw new RuntimeException("$half cannot be written");
        }
        fclose($file);
        rename($half, "$this->folder/$name");
    }

    /** The body of the answer; the very same request again where there was none. */
    public function ask(string $method, string $path, string $body = '', ?string $key = null): string
    {
        $trouble = '';
        foreach (self::PAUSES as $pause) {
            usleep((int) ($pause * 1_000_000));
            [$status, $text] = $this->exchange($method, $path, $body, $key);
            if ($status >= 200 && $status < 300) {
                return $text;
            }
            if ($status >= 400 && $status < 500) {
                throw new Refused($status, self::read($text));
            }
            $trouble = $text;
        }
        throw new Unanswered("$method $path: $trouble");
    }

    /**
     * One request, one answer: its status and text; status 0 and why, where there is none.
     * `$lose` hangs up in mid-answer, to try that out.
     */
    public function exchange(string $method, string $path, string $body = '', ?string $key = null, bool $lose = false): array
    {
        $headers = ["Authorization: Bearer $this->token", 'Content-Type: application/json', 'Expect:'];
        if ($key !== null) {
            $headers[] = "Idempotency-Key: $key";
        }
        $line = curl_init($this->address . $path);
        curl_setopt_array($line, [
            CURLOPT_CUSTOMREQUEST => $method,
            CURLOPT_HTTPHEADER => $headers,
            CURLOPT_RETURNTRANSFER => true,
            CURLOPT_TIMEOUT => 30,
        ]);
        if ($method === 'POST') {
            curl_setopt($line, CURLOPT_POSTFIELDS, $body);
        }
        if ($this->ca) {
            curl_setopt($line, CURLOPT_CAINFO, $this->ca);
        }
        if ($lose) {
            curl_setopt($line, CURLOPT_WRITEFUNCTION, fn($line, $text) => 0);
        }
        $text = curl_exec($line);
        return $text === false ? [0, curl_error($line)] : [curl_getinfo($line, CURLINFO_RESPONSE_CODE), $text];
    }

    /** Reads JSON with its numbers as they are written: 2.40 stays "2.40" and is never a float. */
    public static function read(string $json): array
    {
        $exact = fn($found) => $found[0][0] === '"' ? $found[0] : "\"$found[0]\"";
        $json = preg_replace_callback('/"(?:[^"\\\\]|\\\\.)*+"|-?\d++\.\d++/', $exact, $json);
        return json_decode($json, true, 64, JSON_THROW_ON_ERROR);
    }

    /** A receipt or note as bytes for an ESC/POS printer: the gateway's lines, the QR code where it belongs. */
    public static function escpos(array $receipt): string
    {
        $content = $receipt['qrData'];
        $qr = "\x1ba\x01" // in the middle
            . "\x1d(k\x04\x001A2\x00" // model 2
            . "\x1d(k\x03\x001C\x06" // six dots a module
            . "\x1d(k\x03\x001E1" // error correction M
            . "\x1d(k" . pack('v', strlen($content) + 3) . '1P0' . $content
            . "\x1d(k\x03\x001Q0" // print it
            . "\x1ba\x00";
        $out = "\x1b@";
        foreach (explode("\n", rtrim($receipt['print']['text'])) as $line) {
            $out .= trim($line) === '[QR code]' ? $qr : "$line\n";
        }
        return $out . "\n\n\n\n\x1dV\x00";
    }
}
