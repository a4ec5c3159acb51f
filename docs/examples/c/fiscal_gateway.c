#define _POSIX_C_SOURCE 200809L

#include "fiscal_gateway.h"

#include <dirent.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* Milliseconds before each try. What is still unanswered then stays in the folder. */
static const long PAUSES[] = {0, 200, 500, 1000, 2000, 4000};
/* Seconds that an answer may take. */
enum { PATIENCE = 30 };

/* ---- JSON, as much as is needed ---- */

static const char *blank(const char *at)
{
    return at + strspn(at, " \t\r\n");
}

/* Where a value ends. */
static const char *past(const char *at)
{
    int depth = 0;
    at = blank(at);
    do {
        if (*at == '"') {
            for (at++; *at && *at != '"'; at++)
                if (*at == '\\' && at[1])
                    at++;
        } else if (*at == '{' || *at == '[') {
            depth++;
        } else if (*at == '}' || *at == ']') {
            depth--;
        } else if (depth == 0) {
            return at + strcspn(at, ",}] \t\r\n");
        }
        if (*at)
            at++;
    } while (depth > 0 && *at);
    return at;
}

/* The value that a path names, or NULL. */
static const char *find(const char *at, const char *path)
{
    while (*path) {
        size_t length = strcspn(path, ".");
        int is_array;
        long place = strtol(path, NULL, 10);
        at = blank(at);
        if (*at != '{' && *at != '[')
            return NULL;
        is_array = *at == '[';
        for (at = blank(at + 1);; at = blank(at + 1)) {
            if (*at == '}' || *at == ']' || !*at)
                return NULL;
            if (is_array) {
                if (place-- == 0)
                    break;
            } else {
                const char *name = at + 1;
                const char *end = past(at);
                int is_it = (size_t)(end - 1 - name) == length && strncmp(name, path, length) == 0;
                if (*at != '"' || *blank(end) != ':')
                    return NULL;
                at = blank(blank(end) + 1);
                if (is_it)
                    break;
            }
            at = blank(past(at));
            if (*at != ',')
                return NULL;
        }
        path += length + (path[length] == '.');
    }
    return blank(at);
}

/* A character outside ASCII as UTF-8. */
static size_t utf8(unsigned code, char *out)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xC0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3F));
        return 2;
    }
    out[0] = (char)(0xE0 | code >> 12);
    out[1] = (char)(0x80 | (code >> 6 & 0x3F));
    out[2] = (char)(0x80 | (code & 0x3F));
    return 3;
}

const char *json_text(const char *json, const char *path, char *out, size_t size)
{
    const char *at = json ? find(json, path) : NULL;
    size_t length = 0;
    out[0] = '\0';
    if (!at)
        return out;
    if (*at != '"') {
        length = (size_t)(past(at) - at);
        length = length < size ? length : size - 1;
        memcpy(out, at, length);
        out[length] = '\0';
        return out;
    }
    for (at++; *at && *at != '"' && length + 4 < size; at++) {
        static const char escapes[] = "bfnrt", means[] = "\b\f\n\r\t";
        const char *escape;
        unsigned code;
        if (*at != '\\') {
            out[length++] = *at;
        } else if (!*++at) {
            break;
        } else if (*at == 'u' && sscanf(at + 1, "%4x", &code) == 1) {
            length += utf8(code, out + length);
            at += 4;
        } else {
            escape = strchr(escapes, *at);
            out[length++] = escape ? means[escape - escapes] : *at;
        }
    }
    out[length] = '\0';
    return out;
}

const char *json_quoted(const char *text, char *out, size_t size)
{
    size_t length = 0;
    out[length++] = '"';
    for (; *text && length + 8 < size; text++) {
        unsigned char c = (unsigned char)*text;
        if (c < ' ') {
            length += (size_t)snprintf(out + length, size - length, "\\u%04x", c);
            continue;
        }
        if (c == '"' || c == '\\')
            out[length++] = '\\';
        out[length++] = (char)c;
    }
    out[length++] = '"';
    out[length] = '\0';
    return out;
}

/* ---- the line ---- */

static void hang_up(struct gateway *gateway)
{
    if (gateway->socket >= 0)
        close(gateway->socket);
    gateway->socket = -1;
}

static int reach(struct gateway *gateway)
{
    struct timeval patience = {PATIENCE, 0};
    if (gateway->socket >= 0)
        return 1;
    if (gateway->address[0] == '/') {
        struct sockaddr_un place = {.sun_family = AF_UNIX};
        snprintf(place.sun_path, sizeof place.sun_path, "%s", gateway->address);
        gateway->socket = socket(AF_UNIX, SOCK_STREAM, 0);
        if (gateway->socket >= 0 && connect(gateway->socket, (struct sockaddr *)&place, sizeof place) != 0)
            hang_up(gateway);
    } else {
        struct addrinfo wanted = {.ai_socktype = SOCK_STREAM}, *found = NULL, *each;
        char host[256];
        const char *port = strrchr(gateway->address, ':');
        if (!port)
            return 0;
        snprintf(host, sizeof host, "%.*s", (int)(port - gateway->address), gateway->address);
        if (getaddrinfo(host, port + 1, &wanted, &found) != 0)
            return 0;
        for (each = found; each && gateway->socket < 0; each = each->ai_next) {
            gateway->socket = socket(each->ai_family, each->ai_socktype, each->ai_protocol);
            if (gateway->socket >= 0 && connect(gateway->socket, each->ai_addr, each->ai_addrlen) != 0)
                hang_up(gateway);
        }
        freeaddrinfo(found);
    }
    if (gateway->socket < 0)
        return 0;
    setsockopt(gateway->socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(gateway->socket, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    return 1;
}

static int send_all(int socket, const char *text, size_t length)
{
    while (length > 0) {
        ssize_t sent = send(socket, text, length, MSG_NOSIGNAL);
        if (sent <= 0)
            return 0;
        text += sent;
        length -= (size_t)sent;
    }
    return 1;
}

/* One line, without its end. */
static char *read_line(int socket)
{
    size_t length = 0, room = 16 * 1024;
    char *line = malloc(room);
    while (line) {
        ssize_t got = recv(socket, line + length, room - length - 1, 0);
        if (got <= 0)
            break;
        length += (size_t)got;
        if (line[length - 1] == '\n') {
            line[length - 1] = '\0';
            return line;
        }
        if (length + 1 == room) {
            char *larger = realloc(line, room *= 2);
            if (!larger)
                break;
            line = larger;
        }
    }
    free(line);
    return NULL;
}

int gateway_exchange(struct gateway *gateway, const char *method, const char *path, const char *body, const char *key,
                     int lose)
{
    char token[512] = "", named[512] = "", text[512], value[256];
    char *line;
    size_t room;
    int is_sent;
    free(gateway->answer);
    gateway->answer = NULL;
    gateway->status = 0;
    if (!reach(gateway))
        return 0;
    if (gateway->token) {
        snprintf(value, sizeof value, "Bearer %s", gateway->token);
        snprintf(token, sizeof token, "\"Authorization\":%s", json_quoted(value, text, sizeof text));
    }
    if (key)
        snprintf(named, sizeof named, "%s\"Idempotency-Key\":%s", *token ? "," : "", json_quoted(key, text, sizeof text));
    room = strlen(path) + (body ? strlen(body) : 4) + sizeof token + sizeof named + 200;
    line = malloc(room);
    if (!line)
        return 0;
    snprintf(line, room, "{\"id\":%lu,\"method\":\"%s\",\"path\":\"%s\",\"headers\":{%s%s},\"body\":%s}\n", ++gateway->id,
             method, path, token, named, body ? body : "null");
    is_sent = send_all(gateway->socket, line, strlen(line));
    free(line);
    if (is_sent && lose)
        (void)recv(gateway->socket, text, 1, 0);
    if (is_sent && !lose)
        gateway->answer = read_line(gateway->socket);
    /* An answer to something else would be one that came too late for an earlier request. */
    if (!gateway->answer || strtoul(json_text(gateway->answer, "id", text, sizeof text), NULL, 10) != gateway->id) {
        hang_up(gateway);
        return 0;
    }
    gateway->status = atoi(json_text(gateway->answer, "status", text, sizeof text));
    return gateway->status;
}

int gateway_ask(struct gateway *gateway, const char *method, const char *path, const char *body, const char *key)
{
    size_t try;
    for (try = 0; try < sizeof PAUSES / sizeof PAUSES[0]; try++) {
        struct timespec pause = {PAUSES[try] / 1000, PAUSES[try] % 1000 * 1000000};
        nanosleep(&pause, NULL);
        gateway_exchange(gateway, method, path, body, key, 0);
        if (gateway->status >= 200 && gateway->status < 500)
            break;
    }
    return gateway->status;
}

/* ---- the folder ---- */

/* First all of it, then its name: a power cut leaves no half of a file. */
static int keep(struct gateway *gateway, const char *key, const char *kind, const char *first, const char *rest)
{
    char path[1024], half[1100];
    FILE *file;
    int is_good;
    snprintf(path, sizeof path, "%s/%s.%s", gateway->folder, key, kind);
    snprintf(half, sizeof half, "%s.half", path);
    file = fopen(half, "w");
    if (!file)
        return 0;
    is_good = fprintf(file, "%s%s", first, rest) >= 0 && fflush(file) == 0 && fsync(fileno(file)) == 0;
    return fclose(file) == 0 && is_good && rename(half, path) == 0;
}

static char *read_file(const char *path)
{
    FILE *file = fopen(path, "r");
    char *text = NULL;
    long length;
    if (!file)
        return NULL;
    if (fseek(file, 0, SEEK_END) == 0 && (length = ftell(file)) >= 0 && (text = malloc((size_t)length + 1))) {
        rewind(file);
        text[fread(text, 1, (size_t)length, file)] = '\0';
    }
    fclose(file);
    return text;
}

int gateway_note_down(struct gateway *gateway, const char *key, const char *path, const char *body)
{
    char first[1024];
    snprintf(first, sizeof first, "%s\n", path);
    return keep(gateway, key, "pending", first, body);
}

static int ask_for(struct gateway *gateway, const char *key)
{
    char pending[1024];
    char *request, *body;
    snprintf(pending, sizeof pending, "%s/%s.pending", gateway->folder, key);
    request = read_file(pending);
    body = request ? strchr(request, '\n') : NULL;
    if (!body) {
        free(request);
        return 0;
    }
    *body++ = '\0';
    gateway_ask(gateway, "POST", request, body, key);
    free(request);
    if (gateway->status >= 200 && gateway->status < 300) {
        if (keep(gateway, key, "receipt", gateway->answer, "\n"))
            unlink(pending);
    } else if (gateway->status >= 400 && gateway->status < 500 && gateway->status != 401 && gateway->status != 403) {
        /* A token can be mended, and the sale sent then; any other refusal says that there is no receipt. */
        unlink(pending);
    }
    return gateway->status;
}

int gateway_sell(struct gateway *gateway, const char *key, const char *sale)
{
    return gateway_note_down(gateway, key, "/v1/receipts", sale) ? ask_for(gateway, key) : 0;
}

int gateway_credit(struct gateway *gateway, const char *key, const char *receipt_global_no, const char *note)
{
    char path[100];
    snprintf(path, sizeof path, "/v1/receipts/%s/credit", receipt_global_no);
    return gateway_note_down(gateway, key, path, note) ? ask_for(gateway, key) : 0;
}

int gateway_resume(struct gateway *gateway, void (*tell)(struct gateway *gateway, const char *key))
{
    DIR *folder = opendir(gateway->folder);
    struct dirent *entry;
    int status = 200;
    if (!folder)
        return 0;
    while (status == 200 && (entry = readdir(folder))) {
        char key[256];
        char *end;
        snprintf(key, sizeof key, "%s", entry->d_name);
        end = strstr(key, ".pending");
        if (!end || end[8] != '\0')
            continue;
        *end = '\0';
        status = ask_for(gateway, key);
        if (status == 200 || status == 201) {
            status = 200;
            tell(gateway, key);
        }
    }
    closedir(folder);
    return status;
}

int gateway_close_day(struct gateway *gateway)
{
    char day[20], path[100];
    if (gateway_ask(gateway, "GET", "/v1/days/current", NULL, NULL) != 200)
        return gateway->status;
    json_text(gateway->answer, "body.fiscalDayNo", day, sizeof day);
    snprintf(path, sizeof path, "/v1/days/close?fiscalDayNo=%s", day);
    return gateway_ask(gateway, "POST", path, NULL, NULL);
}

/* ---- paper ---- */

int gateway_escpos(struct gateway *gateway, const char *path)
{
    /* In the middle; model 2, six dots a module, error correction M. */
    static const char before[] = "\x1b" "a\x01" "\x1d(k\x04\x00" "1A2\x00" "\x1d(k\x03\x00" "1C\x06" "\x1d(k\x03\x00" "1E1";
    static const char after[] = "\x1d(k\x03\x00" "1Q0" "\x1b" "a\x00";
    static const char cut[] = "\n\n\n\n\x1dV\x00";
    char qr[512];
    size_t room = gateway->answer ? strlen(gateway->answer) + 1 : 1;
    char *text = malloc(room), *line, *rest;
    FILE *file = text ? fopen(path, "wb") : NULL;
    size_t length;
    if (!file) {
        free(text);
        return 0;
    }
    json_text(gateway->answer, "body.qrData", qr, sizeof qr);
    json_text(gateway->answer, "body.print.text", text, room);
    length = strlen(qr) + 3;
    fputs("\x1b@", file);
    for (line = text; (rest = strchr(line, '\n')); line = rest + 1) {
        *rest = '\0';
        if (!strstr(line, "[QR code]")) {
            fprintf(file, "%s\n", line);
            continue;
        }
        fwrite(before, 1, sizeof before - 1, file);
        fprintf(file, "\x1d(k%c%c1P0%s", (int)(length % 256), (int)(length / 256), qr);
        fwrite(after, 1, sizeof after - 1, file);
    }
    fwrite(cut, 1, sizeof cut - 1, file);
    free(text);
    return fclose(file) == 0;
}
