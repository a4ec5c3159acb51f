/* A day of a till in five minutes: sells, loses an answer, credits, is refused, prints, closes the day.
 *
 *     cc -o till till.c fiscal_gateway.c
 *     LINES_ADDRESS=127.0.0.1:8486 TOKEN=fsc_... ./till T1-
 *
 * The argument begins all invoice numbers; give another one each time. LINES_ADDRESS is `lines_listen` of the gateway's
 * configuration, or `lines_socket`; TILL_FOLDER is where the till keeps what it sends and prints (`till-folder`). */

#define _POSIX_C_SOURCE 200809L

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fiscal_gateway.h"

#define BREAD "{\"receiptLineType\":\"Sale\",\"receiptLineName\":\"Bread\",\"receiptLineHSCode\":\"19059090\"," \
              "\"receiptLinePrice\":\"1.20\",\"receiptLineQuantity\":\"2\",\"taxPercent\":\"15.5\"}"
#define APPLES "{\"receiptLineType\":\"Sale\",\"receiptLineName\":\"Apples\",\"receiptLineHSCode\":\"08081000\"," \
               "\"receiptLinePrice\":\"3.99\",\"receiptLineQuantity\":\"0.555\",\"taxPercent\":\"0\"}"
#define WRONG "{\"receiptLineType\":\"Sale\",\"receiptLineName\":\"Bread\",\"receiptLineHSCode\":\"19059090\"," \
              "\"receiptLinePrice\":\"1.20\",\"receiptLineQuantity\":\"-2\",\"taxPercent\":\"15.5\"}"

static struct gateway gateway = {.socket = -1};

/* A member of the last answer; good for one use in a line. */
static const char *of(const char *path)
{
    static char out[8][512];
    static int next;
    next = (next + 1) % 8;
    return json_text(gateway.answer, path, out[next], sizeof out[next]);
}

static void must(int is_good)
{
    if (is_good)
        return;
    fprintf(stderr, "status %d: %s\n", gateway.status, gateway.answer ? gateway.answer : "no answer");
    exit(1);
}

static const char *sale(const char *number, const char *lines, const char *payments, const char *more)
{
    static char out[4096];
    char quoted[128];
    snprintf(out, sizeof out,
             "{\"receiptType\":\"FiscalInvoice\",\"receiptCurrency\":\"USD\",\"invoiceNo\":%s,\"receiptLinesTaxInclusive\":true,"
             "\"receiptLines\":[%s],\"receiptPayments\":[%s],\"cashier\":\"Rudo\"%s}",
             json_quoted(number, quoted, sizeof quoted), lines, payments, more);
    return out;
}

/* Into a file here; in a shop to the printer's port. */
static void put_on_paper(const char *key)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s.prn", gateway.folder, key);
    must(gateway_escpos(&gateway, path));
}

static void asked_again(struct gateway *asked, const char *key)
{
    (void)asked;
    put_on_paper(key);
    printf("sale %s: asked again: receipt %s\n", key, of("body.receiptGlobalNo"));
}

int main(int count, char **arguments)
{
    const char *first = count > 1 ? arguments[1] : "T1-";
    char number[64], original[20], path[128], body[512], note_no[20], note_total[32];
    const char *document;
    gateway.address = getenv("LINES_ADDRESS");
    gateway.token = getenv("TOKEN");
    gateway.folder = getenv("TILL_FOLDER") ? getenv("TILL_FOLDER") : "till-folder";
    if (!gateway.address) {
        fprintf(stderr, "LINES_ADDRESS is not set\n");
        return 2;
    }
    mkdir(gateway.folder, 0700);

    must(gateway_ask(&gateway, "GET", "/v1/status", NULL, NULL) == 200);
    printf("till %s (%s), FDMS %s\n", of("body.tills.0.deviceID"), of("body.tills.0.environment"), of("body.tills.0.link.state"));
    must(gateway_resume(&gateway, asked_again) == 200);

    /* A sale with cash and a card: 2.40 and 2.21 are 4.61. The gateway computes totals and taxes. */
    snprintf(number, sizeof number, "%s1", first);
    document = sale(number, BREAD "," APPLES,
                    "{\"moneyTypeCode\":\"Cash\",\"paymentAmount\":\"2.61\"},{\"moneyTypeCode\":\"Card\",\"paymentAmount\":\"2.00\"}",
                    ",\"tendered\":\"5.00\",\"change\":\"2.39\"");
    must(gateway_sell(&gateway, number, document) / 100 == 2);
    put_on_paper(number);
    printf("sale %s: receipt %s, USD %s\n", number, of("body.receiptGlobalNo"), of("body.receiptTotal"));
    printf("  verification code %s, FDMS %s\n", of("body.verificationCode"), of("body.fdms.state"));
    printf("  QR %s\n", of("body.qrData"));

    /* A sale paid in two currencies, and its answer is lost. The power may as well have failed: after a start
     * gateway_resume finds the sale in the folder, and the gateway answers the receipt that it issued the first time. */
    snprintf(number, sizeof number, "%s2", first);
    document = sale(number, BREAD,
                    "{\"moneyTypeCode\":\"Cash\",\"paymentAmount\":\"1.50\"},{\"moneyTypeCode\":\"Cash\",\"paymentAmount\":\"0.90\"}",
                    ",\"footerLines\":[\"Paid: ZWG 40.05 at 26.70 = USD 1.50\",\"Paid: USD 0.90\"]");
    must(gateway_note_down(&gateway, number, "/v1/receipts", document));
    must(gateway_exchange(&gateway, "POST", "/v1/receipts", document, number, 1) == 0);
    printf("sale %s: the line broke in mid-answer\n", number);
    must(gateway_resume(&gateway, asked_again) == 200);

    /* A sale that breaks a rule uses no number; the problem says where and what to do. */
    snprintf(number, sizeof number, "%s3", first);
    must(gateway_sell(&gateway, number, sale(number, WRONG, "{\"moneyTypeCode\":\"Cash\",\"paymentAmount\":\"2.40\"}", "")) == 422);
    printf("sale %s: refused, %s at %s: %s\n", number, of("body.code"), of("body.pointer"), of("body.action"));

    /* One bread comes back: found by the number on the customer's paper, credited by reference. */
    snprintf(path, sizeof path, "/v1/receipts?invoiceNo=%s1", first);
    must(gateway_ask(&gateway, "GET", path, NULL, NULL) == 200);
    json_text(gateway.answer, "body.receipts.0.receiptGlobalNo", original, sizeof original);
    snprintf(number, sizeof number, "%s4", first);
    snprintf(body, sizeof body, "{\"invoiceNo\":\"%s\",\"receiptNotes\":\"stale\",\"lines\":[{\"receiptLineNo\":1,\"quantity\":\"1\"}]}", number);
    must(gateway_credit(&gateway, number, original, body) / 100 == 2);
    put_on_paper(number);
    json_text(gateway.answer, "body.receiptGlobalNo", note_no, sizeof note_no);
    json_text(gateway.answer, "body.receiptTotal", note_total, sizeof note_total);
    snprintf(path, sizeof path, "/v1/receipts/%s/creditable", original);
    must(gateway_ask(&gateway, "GET", path, NULL, NULL) == 200);
    printf("credit note %s: receipt %s, USD %s, %s left of %s\n", number, note_no, note_total, of("body.remaining"), original);

    must(gateway_close_day(&gateway) == 200);
    printf("day %s %s, %s receipts\n", of("body.fiscalDayNo"), of("body.state"), of("body.receiptCounter"));
    snprintf(path, sizeof path, "/v1/days/%s/z?format=text&columns=42", of("body.fiscalDayNo"));
    must(gateway_ask(&gateway, "GET", path, NULL, NULL) == 200);
    {
        size_t room = strlen(gateway.answer) + 1;
        char *report = malloc(room);
        must(report != NULL);
        fputs(json_text(gateway.answer, "body", report, room), stdout);
        free(report);
    }
    return 0;
}
