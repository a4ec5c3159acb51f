// A till's side of the fiscal gateway, to copy into your software: C# 5, .NET Framework 4.5 or newer (Windows has it),
// Mono, .NET. It refers to System.Xml and System.Runtime.Serialization, and to nothing that must be installed.
//
// Every sale is written into a folder before it is sent, and stays there until its receipt is there too: neither a
// lost answer nor a power cut loses a sale, or makes two of one.

using System;
using System.Collections;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Net;
using System.Runtime.Serialization.Json;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Threading;
using System.Xml;

namespace Fiscal
{
    /// <summary>The gateway refused (4xx): nothing was issued. Show Detail and Action to the cashier.</summary>
    public class Refused : Exception
    {
        public readonly int Status;
        public readonly string Code, Pointer, Detail, Action;

        public Refused(int status, Answer problem) : base(problem.Text("code") + ": " + problem.Text("detail"))
        {
            Status = status;
            Code = problem.Text("code");
            Pointer = problem.Text("pointer");
            Detail = problem.Text("detail");
            Action = problem.Text("action");
        }
    }

    /// <summary>No answer, or the gateway is in trouble (5xx), also after the last try. The sale may have been issued.</summary>
    public class Unanswered : Exception
    {
        public Unanswered(string what, Exception inner) : base(what, inner) { }
    }

    /// <summary>A JSON document. Members are named by path: `tills/item[1]/deviceID`.</summary>
    public class Answer
    {
        readonly XmlDocument document = new XmlDocument();

        public Answer(string json)
        {
            byte[] bytes = Encoding.UTF8.GetBytes(json);
            // It keeps numbers as they are written, so that no amount passes through a double.
            using (var reader = JsonReaderWriterFactory.CreateJsonReader(bytes, XmlDictionaryReaderQuotas.Max))
                document.Load(reader);
        }

        public string Text(string path)
        {
            XmlNode node = document.SelectSingleNode("/root/" + path);
            return node == null ? "" : node.InnerText;
        }

        public decimal Amount(string path)
        {
            return decimal.Parse(Text(path), CultureInfo.InvariantCulture);
        }

        /// <summary>Writes dictionaries, lists, texts and numbers; a decimal goes as a string.</summary>
        public static string Write(object value)
        {
            if (value == null) return "null";
            if (value is bool) return (bool)value ? "true" : "false";
            if (value is int) return ((int)value).ToString(CultureInfo.InvariantCulture);
            if (value is decimal) return "\"" + ((decimal)value).ToString(CultureInfo.InvariantCulture) + "\"";
            var text = value as string;
            if (text != null)
            {
                var quoted = new StringBuilder("\"");
                foreach (char c in text)
                    if (c == '"' || c == '\\') quoted.Append('\\').Append(c);
                    else if (c < ' ') quoted.AppendFormat("\\u{0:x4}", (int)c);
                    else quoted.Append(c);
                return quoted.Append('"').ToString();
            }
            var members = value as IDictionary<string, object>;
            if (members != null)
                return "{" + string.Join(",", members.Select(m => Write(m.Key) + ":" + Write(m.Value))) + "}";
            var rows = value as IEnumerable;
            if (rows != null) return "[" + string.Join(",", rows.Cast<object>().Select(Write)) + "]";
            throw new ArgumentException("not for JSON: " + value.GetType());
        }
    }

    public class Gateway
    {
        /// <summary>Seconds before each try. What is still unanswered then stays in the folder; see Resume.</summary>
        static readonly double[] Pauses = { 0, 0.2, 0.5, 1, 2, 4 };

        readonly string address, token, folder;
        readonly byte[] trusted;

        /// <summary>`ca` is the certificate of a gateway on another machine, unless Windows trusts it already.</summary>
        public Gateway(string address, string token, string folder, string ca = null)
        {
            this.address = address;
            this.token = token;
            this.folder = folder;
            Directory.CreateDirectory(folder);
            // Older versions of .NET offer TLS 1.2 only when they are told to.
            ServicePointManager.SecurityProtocol |= SecurityProtocolType.Tls12;
            ServicePointManager.Expect100Continue = false;
            trusted = string.IsNullOrEmpty(ca) ? null : new X509Certificate2(ca).RawData;
        }

        /// <summary>The receipt of a sale. `key` names the sale for ever: make it once, when the sale is complete.</summary>
        public Answer Sell(string key, object sale)
        {
            NoteDown(key, "/v1/receipts", sale);
            return AskFor(key);
        }

        /// <summary>The credit note on a receipt of this till, by its receiptGlobalNo.</summary>
        public Answer Credit(string key, string number, object note)
        {
            NoteDown(key, "/v1/receipts/" + number + "/credit", note);
            return AskFor(key);
        }

        /// <summary>Asks again for everything that has no receipt yet: at the start, and when the cashier says so.</summary>
        public List<Answer> Resume()
        {
            return Directory.GetFiles(folder, "*.pending").OrderBy(File.GetLastWriteTimeUtc)
                .Select(path => AskFor(Path.GetFileNameWithoutExtension(path))).ToList();
        }

        /// <summary>Closes the open day and answers it; naming the day makes it safe to ask again.</summary>
        public Answer CloseDay()
        {
            string day = Get("/v1/days/current").Text("fiscalDayNo");
            return new Answer(Ask("POST", "/v1/days/close?fiscalDayNo=" + day));
        }

        public Answer Get(string path)
        {
            return new Answer(Ask("GET", path));
        }

        /// <summary>Writes a request down before it is sent, and answers its body.</summary>
        public string NoteDown(string key, string path, object document)
        {
            string body = Answer.Write(document);
            Keep(key + ".pending", path + "\n" + body);
            return body;
        }

        Answer AskFor(string key)
        {
            string pending = Path.Combine(folder, key + ".pending");
            string[] request = File.ReadAllText(pending).Split(new[] { '\n' }, 2);
            string receipt;
            try
            {
                receipt = Ask("POST", request[0], request[1], key);
            }
            catch (Refused refused)
            {
                // A token can be mended, and the sale sent then; any other refusal says that there is no receipt.
                if (refused.Status != 401 && refused.Status != 403) File.Delete(pending);
                throw;
            }
            Keep(key + ".receipt", receipt);
            File.Delete(pending);
            return new Answer(receipt);
        }

        /// <summary>First all of it, then its name: a power cut leaves no half of a file.</summary>
        void Keep(string name, string text)
        {
            string path = Path.Combine(folder, name), half = path + ".half";
            byte[] bytes = new UTF8Encoding(false).GetBytes(text);
            using (var file = new FileStream(half, FileMode.Create))
            {
                file.Write(bytes, 0, bytes.Length);
                file.Flush(true);
            }
            if (File.Exists(path)) File.Delete(path);
            File.Move(half, path);
        }

        /// <summary>The body of the answer; the very same request again where there was none.</summary>
        public string Ask(string method, string path, string body = null, string key = null)
        {
            Exception trouble = null;
            foreach (double pause in Pauses)
            {
                Thread.Sleep(TimeSpan.FromSeconds(pause));
                try
                {
                    return Exchange(method, path, body, key);
                }
                catch (WebException error) { trouble = error; }
                catch (IOException error) { trouble = error; }
            }
            throw new Unanswered(method + " " + path + ": " + trouble.Message, trouble);
        }

        /// <summary>One request, one answer. `lose` hangs up in mid-answer, to try that out.</summary>
        public string Exchange(string method, string path, string body = null, string key = null, bool lose = false)
        {
            var request = (HttpWebRequest)WebRequest.Create(address + path);
            request.Method = method;
            request.KeepAlive = false;
            if (trusted != null)
                request.ServerCertificateValidationCallback =
                    (sender, certificate, chain, errors) => certificate.GetRawCertData().SequenceEqual(trusted);
            request.Timeout = request.ReadWriteTimeout = 30000;
            request.Headers["Authorization"] = "Bearer " + token;
            if (key != null) request.Headers["Idempotency-Key"] = key;
            if (method == "POST")
            {
                byte[] bytes = Encoding.UTF8.GetBytes(body ?? "");
                request.ContentType = "application/json";
                request.ContentLength = bytes.Length;
                using (Stream stream = request.GetRequestStream()) stream.Write(bytes, 0, bytes.Length);
            }
            try
            {
                using (var response = (HttpWebResponse)request.GetResponse())
                {
                    if (lose) throw new IOException("the line broke in mid-answer");
                    return Read(response);
                }
            }
            catch (WebException error)
            {
                // .NET makes an exception of every status that is no success.
                var response = error.Response as HttpWebResponse;
                if (response == null || (int)response.StatusCode >= 500) throw;
                throw new Refused((int)response.StatusCode, new Answer(Read(response)));
            }
        }

        static string Read(HttpWebResponse response)
        {
            using (var reader = new StreamReader(response.GetResponseStream(), Encoding.UTF8)) return reader.ReadToEnd();
        }

        /// <summary>A receipt or note as bytes for an ESC/POS printer: the gateway's lines, the QR code where it belongs.</summary>
        public static byte[] EscPos(Answer receipt)
        {
            string content = receipt.Text("qrData");
            int length = content.Length + 3;
            string qr = "\x1b" + "a\x01" // in the middle
                + "\x1d(k\x04\0" + "1A2\0" // model 2
                + "\x1d(k\x03\0" + "1C\x06" // six dots a module
                + "\x1d(k\x03\0" + "1E1" // error correction M
                + "\x1d(k" + (char)(length % 256) + (char)(length / 256) + "1P0" + content
                + "\x1d(k\x03\0" + "1Q0" // print it
                + "\x1b" + "a\0";
            var bytes = new StringBuilder("\x1b@");
            foreach (string line in receipt.Text("print/text").TrimEnd('\n').Split('\n'))
                if (line.Trim() == "[QR code]") bytes.Append(qr);
                else bytes.Append(line).Append('\n');
            return Encoding.GetEncoding("iso-8859-1").GetBytes(bytes.Append("\n\n\n\n\x1dV\0").ToString());
        }
    }
}
