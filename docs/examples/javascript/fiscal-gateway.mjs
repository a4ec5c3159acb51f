// A till's side of the fiscal gateway, to copy into your software: Node 18 or newer, nothing to install.
//
// Every sale is written into a folder before it is sent, and stays there until its receipt is there too: neither a
// lost answer nor a power cut loses a sale, or makes two of one. Amounts are strings on both ways. A gateway on another
// machine: name its certificate in the environment variable NODE_EXTRA_CA_CERTS. A page in a browser cannot do this: the
// gateway answers programs.

import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, readdirSync, renameSync, statSync, unlinkSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'

// Milliseconds before each try. What is still unanswered then stays in the folder; see `resume`.
const PAUSES = [0, 200, 500, 1000, 2000, 4000]

/** The gateway refused (4xx): nothing was issued. Show `detail` and `action` to the cashier. */
export class Refused extends Error {
  constructor(status, problem) {
    super(`${problem.code}: ${problem.detail}`)
    Object.assign(this, { status, code: problem.code, pointer: problem.pointer, detail: problem.detail, action: problem.action })
  }
}

/** No answer, or the gateway is in trouble (5xx), also after the last try. The sale may have been issued. */
export class Unanswered extends Error {}

/** Reads JSON with its decimals as they are written: 2.40 becomes '2.40' and is never a float. */
export function read(json) {
  return JSON.parse(json.replace(/"(?:[^"\\]|\\.)*"|-?\d+\.\d+/g, (found) => (found[0] === '"' ? found : `"${found}"`)))
}

export class Gateway {
  /** `folder` is kept across restarts. */
  constructor(address, token, folder) {
    Object.assign(this, { address, token, folder })
    mkdirSync(folder, { recursive: true })
  }

  /** The receipt of a sale. `key` names the sale for ever: make it once, when the sale is complete. */
  async sell(key, sale) {
    this.noteDown(key, '/v1/receipts', sale)
    return this.#askFor(key)
  }

  /** The credit note on a receipt of this till, by its receiptGlobalNo. */
  async credit(key, number, note) {
    this.noteDown(key, `/v1/receipts/${number}/credit`, note)
    return this.#askFor(key)
  }

  /** Asks again for everything that has no receipt yet: at the start, and when the cashier says so. */
  async resume() {
    const written = (name) => statSync(join(this.folder, name)).mtimeMs
    const waiting = readdirSync(this.folder).filter((name) => name.endsWith('.pending'))
    const receipts = []
    for (const name of waiting.sort((one, other) => written(one) - written(other))) {
      receipts.push(await this.#askFor(name.slice(0, -'.pending'.length)))
    }
    return receipts
  }

  /** Closes the open day and answers it; naming the day makes it safe to ask again. */
  async closeDay() {
    const day = await this.get('/v1/days/current')
    return read(await this.ask('POST', `/v1/days/close?fiscalDayNo=${day.fiscalDayNo}`))
  }

  async get(path) {
    return read(await this.ask('GET', path))
  }

  /** Writes a request down before it is sent, and answers its body. */
  noteDown(key, path, document) {
    const body = JSON.stringify(document)
    this.#write(`${key}.pending`, `${path}\n${body}`)
    return body
  }

  async #askFor(key) {
    const pending = join(this.folder, `${key}.pending`)
    const request = readFileSync(pending, 'utf8')
    const end = request.indexOf('\n')
    let receipt
    try {
      receipt = await this.ask('POST', request.slice(0, end), request.slice(end + 1), key)
    } catch (error) {
      // A token can be mended, and the sale sent then; any other refusal says that there is no receipt.
      if (error instanceof Refused && ![401, 403].includes(error.status)) unlinkSync(pending)
      throw error
    }
    this.#write(`${key}.receipt`, receipt)
    unlinkSync(pending)
    return read(receipt)
  }

  /** First all of it, then its name: a power cut leaves no half of a file. */
  #write(name, text) {
    const path = join(this.folder, name)
    const file = openSync(`${path}.half`, 'w')
    writeSync(file, text)
    fsyncSync(file)
    closeSync(file)
    renameSync(`${path}.half`, path)
  }

  /** The body of the answer; the very same request again where there was none. */
  async ask(method, path, body, key) {
    let trouble
    for (const wait of PAUSES) {
      await pause(wait)
      let answer
      try {
        answer = await this.exchange(method, path, body, key)
      } catch (error) {
        trouble = error
        continue
      }
      if (answer.status < 300) return answer.text
      if (answer.status < 500) throw new Refused(answer.status, JSON.parse(answer.text))
      trouble = answer.text
    }
    throw new Unanswered(`${method} ${path}: ${trouble}`)
  }

  /** One request, one answer: its status and text. `lose` hangs up in mid-answer, to try that out. */
  async exchange(method, path, body, key, lose = false) {
    const headers = { Authorization: `Bearer ${this.token}`, 'Content-Type': 'application/json' }
    if (key) headers['Idempotency-Key'] = key
    const response = await fetch(this.address + path, { method, headers, body, signal: AbortSignal.timeout(30000) })
    if (lose) {
      await response.body.cancel()
      throw new Error('the line broke in mid-answer')
    }
    return { status: response.status, text: await response.text() }
  }
}

/** A receipt or note as bytes for an ESC/POS printer: the gateway's lines, the QR code where it belongs. */
export function escpos(receipt) {
  const content = receipt.qrData
  const length = content.length + 3
  const qr =
    '\x1ba\x01' + // in the middle
    '\x1d(k\x04\x001A2\x00' + // model 2
    '\x1d(k\x03\x001C\x06' + // six dots a module
    '\x1d(k\x03\x001E1' + // error correction M
    '\x1d(k' + String.fromCharCode(length % 256, length >> 8) + '1P0' + content +
    '\x1d(k\x03\x001Q0' + // print it
    '\x1ba\x00'
  const lines = receipt.print.text.trimEnd().split('\n')
  const text = lines.map((line) => (line.trim() === '[QR code]' ? qr : `${line}\n`)).join('')
  return Buffer.from(`\x1b@${text}\n\n\n\n\x1dV\x00`, 'latin1')
}
