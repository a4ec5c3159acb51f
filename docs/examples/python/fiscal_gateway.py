"""A till's side of the fiscal gateway, to copy into your software. Python 3.8 or newer, standard library only.

Every sale is written into a folder before it is sent, and stays there until its receipt is there too: neither a
lost answer nor a power cut loses a sale, or makes two of one.
"""

import http.client
import json
import os
import ssl
import time
import urllib.parse
from decimal import Decimal
from pathlib import Path

# Seconds before each further try. What is still unanswered then stays in the folder; see `resume`.
PAUSES = (0.2, 0.5, 1, 2, 4)


class Refused(Exception):
    """The gateway refused (4xx): nothing was issued. Show `detail` and `action` to the cashier."""

    def __init__(self, status, problem):
        super().__init__(f"{problem.get('code')}: {problem.get('detail')}")
        self.status = status
        self.code = problem.get("code", "")
        self.pointer = problem.get("pointer", "")
        self.detail = problem.get("detail", "")
        self.action = problem.get("action", "")


class Unanswered(Exception):
    """No answer, or the gateway is in trouble (5xx), also after the last try. The sale may have been issued."""


class Gateway:
    """`ca` is the certificate of a gateway on another machine; `folder` is kept across restarts."""

    def __init__(self, address, token, folder, ca=None):
        self.address = urllib.parse.urlsplit(address)
        self.token = token
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.tls = ssl.create_default_context(cafile=ca) if self.address.scheme == "https" else None

    def sell(self, key, sale):
        """The receipt of a sale. `key` names the sale for ever: make it once, when the sale is complete."""
        return self._keep(key, "/v1/receipts", sale)

    def credit(self, key, number, note):
        """The credit note on a receipt of this till, by its receiptGlobalNo."""
        return self._keep(key, f"/v1/receipts/{number}/credit", note)

    def resume(self):
        """Asks again for everything that has no receipt yet. Call it at the start, and when the cashier says so."""
        waiting = sorted(self.folder.glob("*.pending"), key=lambda path: path.stat().st_mtime_ns)
        return [self._ask_for(path.stem) for path in waiting]

    def close_day(self):
        """Closes the open day and answers it; naming the day makes it safe to ask again."""
        day = self.get("/v1/days/current")
        return self._json("POST", f"/v1/days/close?fiscalDayNo={day['fiscalDayNo']}")

    def get(self, path):
        """Any document of the gateway, numbers as Decimal."""
        return self._json("GET", path)

    def text(self, path):
        """Any text of the gateway: a receipt, a report."""
        return self._answer("GET", path)

    def note_down(self, key, path, document):
        """Writes a request down before it is sent, and answers its body. Amounts go as strings, never as floats."""
        body = json.dumps(document, default=str)
        self._write(key + ".pending", json.dumps({"path": path, "body": body}))
        return body

    def _keep(self, key, path, document):
        self.note_down(key, path, document)
        return self._ask_for(key)

    def _ask_for(self, key):
        pending = self.folder / (key + ".pending")
        request = json.loads(pending.read_text("utf-8"))
        try:
            receipt = self._answer("POST", request["path"], request["body"], key)
        except Refused as refused:
            # A token can be mended, and the sale sent then; any other refusal says that there is no receipt.
            if refused.status not in (401, 403):
                pending.unlink()
            raise
        self._write(key + ".receipt", receipt)
        pending.unlink()
        return json.loads(receipt, parse_float=Decimal)

    def _write(self, name, text):
        # First all of it, then its name: a power cut leaves no half of a file.
        half = self.folder / (name + ".half")
        with open(half, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(half, self.folder / name)

    def _json(self, method, path):
        return json.loads(self._answer(method, path), parse_float=Decimal)

    def _answer(self, method, path, body="", key=None):
        """The body of the answer; the very same request again where there was none."""
        trouble = None
        for pause in (0,) + PAUSES:
            time.sleep(pause)
            try:
                status, text = self.exchange(method, path, body, key)
            except (OSError, http.client.HTTPException) as error:
                trouble = error
                continue
            if status < 300:
                return text
            if status < 500:
                raise Refused(status, json.loads(text))
            trouble = text
        raise Unanswered(f"{method} {path}: {trouble}")

    def exchange(self, method, path, body="", key=None, lose=False):
        """One request, one answer: its status and text. `lose` hangs up in mid-answer, to try that out."""
        host, port = self.address.hostname, self.address.port
        if self.tls:
            line = http.client.HTTPSConnection(host, port, timeout=30, context=self.tls)
        else:
            line = http.client.HTTPConnection(host, port, timeout=30)
        headers = {"Authorization": "Bearer " + self.token, "Content-Type": "application/json"}
        if key:
            headers["Idempotency-Key"] = key
        try:
            line.request(method, path, body.encode("utf-8"), headers)
            answer = line.getresponse()
            if lose:
                raise ConnectionError("the line broke in mid-answer")
            return answer.status, answer.read().decode("utf-8")
        finally:
            line.close()


def escpos(receipt):
    """A receipt or note as bytes for an ESC/POS printer: the gateway's lines, the QR code where it belongs."""
    content = receipt["qrData"].encode("ascii")
    length = len(content) + 3
    qr = (
        b"\x1ba\x01"  # in the middle
        + b"\x1d(k\x04\x001A2\x00"  # model 2
        + b"\x1d(k\x03\x001C\x06"  # six dots a module
        + b"\x1d(k\x03\x001E1"  # error correction M
        + b"\x1d(k" + bytes([length % 256, length // 256]) + b"1P0" + content
        + b"\x1d(k\x03\x001Q0"  # print it
        + b"\x1ba\x00"
    )
    out = b"\x1b@"
    for line in receipt["print"]["text"].splitlines():
        out += qr if line.strip() == "[QR code]" else line.encode("cp437", "replace") + b"\n"
    return out + b"\n\n\n\n\x1dV\x00"
