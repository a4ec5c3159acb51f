/* A till's side of the fiscal gateway over JSON lines, to copy into your software: C99 and POSIX, nothing but libc.
 *
 * Every sale is written into a folder before it is sent, and stays there until its receipt is there too: neither a
 * lost answer nor a power cut loses a sale, or makes two of one. */

#ifndef FISCAL_GATEWAY_H
#define FISCAL_GATEWAY_H

#include <stddef.h>

struct gateway {
    const char *address; /* 127.0.0.1:8486 (`lines_listen`), or the path of a Unix socket (`lines_socket`) */
    const char *token;   /* NULL on a Unix socket whose user needs none */
    const char *folder;  /* kept across restarts */
    int socket;          /* -1 before the first request */
    unsigned long id;    /* of the last request */
    char *answer;        /* the last answer: one JSON document, until the next request */
    int status;          /* its status, as of HTTP; 0 where there was none */
};

/* All of these answer the status: 2xx done, 4xx refused (nothing was issued; `body.detail` and `body.action` are for
 * the cashier), 5xx or 0 no answer also after the last try: the sale may have been issued; see gateway_resume. */

/* One request; the very same again where there was no answer. `body` and `key` may be NULL. */
int gateway_ask(struct gateway *gateway, const char *method, const char *path, const char *body, const char *key);

/* The receipt of a sale. `key` names it for ever: make it once, when the sale is complete. `sale` has no line ends. */
int gateway_sell(struct gateway *gateway, const char *key, const char *sale);

/* The credit note on a receipt of this till, by its receiptGlobalNo. */
int gateway_credit(struct gateway *gateway, const char *key, const char *receipt_global_no, const char *note);

/* Asks again for everything that has no receipt yet, and tells of each. At the start, and when the cashier says so.
 * Answers the first status that is not 2xx, else 200. */
int gateway_resume(struct gateway *gateway, void (*tell)(struct gateway *gateway, const char *key));

/* Closes the open day; naming the day makes it safe to ask again. */
int gateway_close_day(struct gateway *gateway);

/* What gateway_sell begins with: writes a request down before it is sent. 0 where that cannot be done. */
int gateway_note_down(struct gateway *gateway, const char *key, const char *path, const char *body);

/* One line there, one line back, without another try: the status. `lose` hangs up in mid-answer, to try that out. */
int gateway_exchange(struct gateway *gateway, const char *method, const char *path, const char *body, const char *key,
                     int lose);

/* A member of a JSON document as text, "" where it is not there: json_text(answer, "body.receipts.0.invoiceNo", ...).
 * Numbers stay as they are written. */
const char *json_text(const char *json, const char *path, char *out, size_t size);

/* A text as a JSON string, quotes and all. */
const char *json_quoted(const char *text, char *out, size_t size);

/* Writes the last answer, a receipt or note, for an ESC/POS printer: the gateway's lines, the QR code where it
 * belongs. 0 where the file cannot be written. */
int gateway_escpos(struct gateway *gateway, const char *path);

#endif
