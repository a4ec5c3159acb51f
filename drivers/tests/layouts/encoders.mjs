// Prints rows (see sales.py) with one of three encoders: stdin to stdout, each line with its bytes in base64.
// usage: encoders.mjs receiptline | point-of-sale | thermal-printer
import readline from 'node:readline';
import receiptline from 'receiptline';
import ReceiptPrinterEncoder from '@point-of-sale/receipt-printer-encoder';
import thermal from 'node-thermal-printer';

const escaped = (text) => text.replace(/[\\|{}~_"`^]/g, (c) => '\\' + c);

// Columns by position in dots, text by text.
function withReceiptline(rows, width) {
  let doc = '';
  for (const row of rows) {
    if (row[0] === 'center') doc += `{w:auto}\n${row[2] ? '^' : ''}${escaped(row[1])}\n`;
    else if (row[0] === 'line') doc += `{w:auto}\n${escaped(row[1].trimStart())} |\n`;
    else if (row[0] === 'rule') doc += '-\n';
    else {
      doc += `{w:${row[1].map((c) => c[1]).join(',')};b:none}\n`;
      doc += row[1].map(([t, , a]) => (a === 'right' ? ` ${escaped(t)}` : `${escaped(t.trimStart())} `)).join('|') + '\n';
    }
  }
  return Buffer.from(receiptline.transform(doc, { cpl: width, encoding: 'cp437', command: 'escpos', cutting: true, spacing: true }), 'binary');
}

// Columns by spaces, lines ended with LF CR.
function withPointOfSale(rows, width) {
  const encoder = new ReceiptPrinterEncoder({ language: 'esc-pos', columns: width });
  encoder.initialize().codepage('cp437');
  for (const row of rows) {
    if (row[0] === 'center') {
      encoder.align('center').bold(true);
      if (row[2]) encoder.size(2, 2);
      encoder.line(row[1]).size(1, 1).bold(false).align('left');
    } else if (row[0] === 'line') encoder.line(row[1]);
    else if (row[0] === 'rule') encoder.line(row[1].repeat(width));
    else encoder.table(row[1].map(([, w, a]) => ({ width: w, align: a })), [row[1].map(([t]) => t)]);
  }
  return Buffer.from(encoder.newline(3).cut().pulse().encode());
}

// Columns by spaces of its own table, code page by its own table.
function withThermalPrinter(rows, width) {
  const { ThermalPrinter, PrinterTypes, CharacterSet } = thermal;
  const printer = new ThermalPrinter({
    type: PrinterTypes.EPSON,
    interface: 'tcp://127.0.0.1:1',
    width,
    characterSet: CharacterSet.PC850_MULTILINGUAL,
  });
  for (const row of rows) {
    if (row[0] === 'center') {
      printer.alignCenter();
      if (row[2]) printer.setTextDoubleWidth();
      printer.println(row[1]);
      printer.setTextNormal();
      printer.alignLeft();
    } else if (row[0] === 'line') printer.println(row[1]);
    else if (row[0] === 'rule') printer.println(row[1].repeat(width));
    else printer.tableCustom(row[1].map(([t, w, a]) => ({ text: t, align: a.toUpperCase(), cols: w })));
  }
  printer.newLine();
  printer.openCashDrawer();
  printer.cut();
  return printer.getBuffer();
}

const encoders = { receiptline: withReceiptline, 'point-of-sale': withPointOfSale, 'thermal-printer': withThermalPrinter };
const encode = encoders[process.argv[2]];
for await (const line of readline.createInterface({ input: process.stdin })) {
  const job = JSON.parse(line);
  const bytes = encode(job.rows, job.width);
  process.stdout.write(JSON.stringify({ bytes: bytes.toString('base64'), expected: job.expected }) + '\n');
}
