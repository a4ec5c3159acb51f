// A day of a till in five minutes: sells, loses an answer, credits, is refused, prints, closes the day.
//
//     mcs -out:till.exe -r:System.Runtime.Serialization.dll Till.cs FiscalGateway.cs
//     GATEWAY=http://127.0.0.1:8487 TOKEN=fsc_... mono till.exe T1-
//
// The argument begins all invoice numbers; give another one each time. GATEWAY_CA names the certificate of a gateway
// on another machine; TILL_FOLDER is where the till keeps what it sends and prints (`till-folder`).

using System;
using System.Collections.Generic;
using System.IO;
using Fiscal;

static class Till
{
    static string folder;

    static Dictionary<string, object> Line(string name, string hsCode, decimal price, decimal quantity, decimal percent)
    {
        return new Dictionary<string, object>
        {
            { "receiptLineType", "Sale" },
            { "receiptLineName", name },
            { "receiptLineHSCode", hsCode },
            { "receiptLinePrice", price },
            { "receiptLineQuantity", quantity },
            { "taxPercent", percent },
        };
    }

    static Dictionary<string, object> Payment(string how, decimal amount)
    {
        return new Dictionary<string, object> { { "moneyTypeCode", how }, { "paymentAmount", amount } };
    }

    static Dictionary<string, object> Sale(string number, object[] lines, params object[] payments)
    {
        return new Dictionary<string, object>
        {
            { "receiptType", "FiscalInvoice" },
            { "receiptCurrency", "USD" },
            { "invoiceNo", number },
            { "receiptLinesTaxInclusive", true },
            { "receiptLines", lines },
            { "receiptPayments", payments },
            { "cashier", "Rudo" },
        };
    }

    /// <summary>Into a file here; in a shop to the printer's port.</summary>
    static void PutOnPaper(Answer receipt)
    {
        File.WriteAllBytes(Path.Combine(folder, receipt.Text("invoiceNo") + ".prn"), Gateway.EscPos(receipt));
    }

    static void Main(string[] arguments)
    {
        string first = arguments.Length > 0 ? arguments[0] : "T1-";
        folder = Environment.GetEnvironmentVariable("TILL_FOLDER") ?? "till-folder";
        var gateway = new Gateway(
            Environment.GetEnvironmentVariable("GATEWAY"),
            Environment.GetEnvironmentVariable("TOKEN"),
            folder,
            Environment.GetEnvironmentVariable("GATEWAY_CA"));

        Answer status = gateway.Get("/v1/status");
        Console.WriteLine("till {0} ({1}), FDMS {2}", status.Text("tills/item[1]/deviceID"),
            status.Text("tills/item[1]/environment"), status.Text("tills/item[1]/link/state"));
        foreach (Answer old in gateway.Resume())
            Console.WriteLine("from before: receipt {0} of {1}", old.Text("receiptGlobalNo"), old.Text("invoiceNo"));

        // A sale with cash and a card: 2.40 and 2.21 are 4.61. The gateway computes totals and taxes.
        var bread = Line("Bread", "19059090", 1.20m, 2, 15.5m);
        var apples = Line("Apples", "08081000", 3.99m, 0.555m, 0);
        string number = first + "1";
        var sale = Sale(number, new[] { bread, apples }, Payment("Cash", 2.61m), Payment("Card", 2.00m));
        sale["tendered"] = 5.00m;
        sale["change"] = 2.39m;
        Answer receipt = gateway.Sell(number, sale);
        PutOnPaper(receipt);
        Console.WriteLine("sale {0}: receipt {1}, USD {2}", number, receipt.Text("receiptGlobalNo"), receipt.Text("receiptTotal"));
        Console.WriteLine("  verification code {0}, FDMS {1}", receipt.Text("verificationCode"), receipt.Text("fdms/state"));
        Console.WriteLine("  QR {0}", receipt.Text("qrData"));

        // A sale paid in two currencies, and its answer is lost. The power may as well have failed: after a start
        // Resume finds the sale in the folder, and the gateway answers the receipt that it issued the first time.
        number = first + "2";
        sale = Sale(number, new[] { bread }, Payment("Cash", 1.50m), Payment("Cash", 0.90m));
        sale["footerLines"] = new[] { "Paid: ZWG 40.05 at 26.70 = USD 1.50", "Paid: USD 0.90" };
        string body = gateway.NoteDown(number, "/v1/receipts", sale);
        try
        {
            gateway.Exchange("POST", "/v1/receipts", body, number, lose: true);
        }
        catch (Exception error)
        {
            Console.WriteLine("sale {0}: {1}", number, error.Message);
        }
        foreach (Answer answer in gateway.Resume())
        {
            PutOnPaper(answer);
            Console.WriteLine("sale {0}: asked again: receipt {1}", number, answer.Text("receiptGlobalNo"));
        }

        // A sale that breaks a rule uses no number; the problem says where and what to do.
        number = first + "3";
        try
        {
            gateway.Sell(number, Sale(number, new[] { Line("Bread", "19059090", 1.20m, -2, 15.5m) }, Payment("Cash", 2.40m)));
        }
        catch (Refused refused)
        {
            Console.WriteLine("sale {0}: refused, {1} at {2}: {3}", number, refused.Code, refused.Pointer, refused.Action);
        }

        // One bread comes back: found by the number on the customer's paper, credited by reference.
        string original = gateway.Get("/v1/receipts?invoiceNo=" + first + "1").Text("receipts/item[1]/receiptGlobalNo");
        number = first + "4";
        Answer note = gateway.Credit(number, original, new Dictionary<string, object>
        {
            { "invoiceNo", number },
            { "receiptNotes", "stale" },
            { "lines", new[] { new Dictionary<string, object> { { "receiptLineNo", 1 }, { "quantity", 1m } } } },
        });
        PutOnPaper(note);
        decimal left = gateway.Get("/v1/receipts/" + original + "/creditable").Amount("remaining");
        Console.WriteLine("credit note {0}: receipt {1}, USD {2}, {3} left of {4}",
            number, note.Text("receiptGlobalNo"), note.Text("receiptTotal"), left, original);

        Answer day = gateway.CloseDay();
        Console.WriteLine("day {0} {1}, {2} receipts", day.Text("fiscalDayNo"), day.Text("state"), day.Text("receiptCounter"));
        Console.WriteLine(gateway.Ask("GET", "/v1/days/" + day.Text("fiscalDayNo") + "/z?format=text&columns=42"));
    }
}
