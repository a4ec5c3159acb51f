// A day of a till in five minutes: sells, loses an answer, credits, is refused, prints, closes the day.
//
//     GATEWAY=http://127.0.0.1:8487 TOKEN=fsc_... node till.mjs T1-
//
// The argument begins all invoice numbers; give another one each time. TILL_FOLDER is where the till keeps what it
// sends and prints (`till-folder`).

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Gateway, Refused, escpos } from './fiscal-gateway.mjs'

const folder = process.env.TILL_FOLDER ?? 'till-folder'
const first = process.argv[2] ?? 'T1-'
const gateway = new Gateway(process.env.GATEWAY, process.env.TOKEN, folder)

const bread = {
  receiptLineType: 'Sale',
  receiptLineName: 'Bread',
  receiptLineHSCode: '19059090',
  receiptLinePrice: '1.20',
  receiptLineQuantity: '2',
  taxPercent: '15.5',
}
const apples = {
  receiptLineType: 'Sale',
  receiptLineName: 'Apples',
  receiptLineHSCode: '08081000',
  receiptLinePrice: '3.99',
  receiptLineQuantity: '0.555',
  taxPercent: '0',
}

const sale = (number, lines, payments, printed = {}) => ({
  receiptType: 'FiscalInvoice',
  receiptCurrency: 'USD',
  invoiceNo: number,
  receiptLinesTaxInclusive: true,
  receiptLines: lines,
  receiptPayments: payments.map(([how, amount]) => ({ moneyTypeCode: how, paymentAmount: amount })),
  cashier: 'Rudo',
  ...printed,
})

// Into a file here; in a shop to the printer's port.
const putOnPaper = (receipt) => writeFileSync(join(folder, `${receipt.invoiceNo}.prn`), escpos(receipt))

const till = (await gateway.get('/v1/status')).tills[0]
console.log(`till ${till.deviceID} (${till.environment}), FDMS ${till.link.state}`)
for (const receipt of await gateway.resume()) {
  console.log(`from before: receipt ${receipt.receiptGlobalNo} of ${receipt.invoiceNo}`)
}

// A sale with cash and a card: 2.40 and 2.21 are 4.61. The gateway computes totals and taxes.
let number = `${first}1`
const paid = [['Cash', '2.61'], ['Card', '2.00']]
const receipt = await gateway.sell(number, sale(number, [bread, apples], paid, { tendered: '5.00', change: '2.39' }))
putOnPaper(receipt)
console.log(`sale ${number}: receipt ${receipt.receiptGlobalNo}, USD ${receipt.receiptTotal}`)
console.log(`  verification code ${receipt.verificationCode}, FDMS ${receipt.fdms.state}`)
console.log(`  QR ${receipt.qrData}`)

// A sale paid in two currencies, and its answer is lost. The power may as well have failed: after a start `resume`
// finds the sale in the folder, and the gateway answers the receipt that it issued the first time.
number = `${first}2`
const footerLines = ['Paid: ZWG 40.05 at 26.70 = USD 1.50', 'Paid: USD 0.90']
const body = gateway.noteDown(number, '/v1/receipts', sale(number, [bread], [['Cash', '1.50'], ['Cash', '0.90']], { footerLines }))
await gateway.exchange('POST', '/v1/receipts', body, number, true).catch((error) => console.log(`sale ${number}: ${error.message}`))
for (const answer of await gateway.resume()) {
  putOnPaper(answer)
  console.log(`sale ${number}: asked again: receipt ${answer.receiptGlobalNo}`)
}

// A sale that breaks a rule uses no number; the problem says where and what to do.
number = `${first}3`
try {
  await gateway.sell(number, sale(number, [{ ...bread, receiptLineQuantity: '-2' }], [['Cash', '2.40']]))
} catch (error) {
  if (!(error instanceof Refused)) throw error
  console.log(`sale ${number}: refused, ${error.code} at ${error.pointer}: ${error.action}`)
}

// One bread comes back: found by the number on the customer's paper, credited by reference.
const original = (await gateway.get(`/v1/receipts?invoiceNo=${first}1`)).receipts[0].receiptGlobalNo
number = `${first}4`
const note = await gateway.credit(number, original, {
  invoiceNo: number,
  receiptNotes: 'stale',
  lines: [{ receiptLineNo: 1, quantity: '1' }],
})
putOnPaper(note)
const left = (await gateway.get(`/v1/receipts/${original}/creditable`)).remaining
console.log(`credit note ${number}: receipt ${note.receiptGlobalNo}, USD ${note.receiptTotal}, ${left} left of ${original}`)

const day = await gateway.closeDay()
console.log(`day ${day.fiscalDayNo} ${day.state}, ${day.receiptCounter} receipts`)
console.log(await gateway.ask('GET', `/v1/days/${day.fiscalDayNo}/z?format=text&columns=42`))
