//! The ledger's tables, as migrations that are only ever appended to.
//!
//! Receipts, days, closes, submissions, events and audit are never changed once written. Tables grow at
//! their end; secondary indexes are few, because each costs every sale. Money is whole cents, times are
//! milliseconds since 1970 or FDMS's local date and time as text.

use rusqlite::Connection;

use super::StorageError;
use crate::crash::{self, Point};

/// One step each; the number of steps done is SQLite's `user_version`.
const MIGRATIONS: &[&str] = &[
    r"
-- What there is once in a ledger: its id, epoch, recovery wrap, time anchor.
CREATE TABLE meta (
  name  TEXT PRIMARY KEY,
  value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- A fiscal device as FDMS knows it. It never changes its environment.
CREATE TABLE till (
  till_id        INTEGER PRIMARY KEY,
  environment    TEXT NOT NULL CHECK (environment IN ('test', 'production')),
  device_id      INTEGER NOT NULL,
  serial_no      TEXT NOT NULL,
  model_name     TEXT NOT NULL,
  model_version  TEXT NOT NULL,
  invoice_prefix TEXT NOT NULL,
  created_at     INTEGER NOT NULL,
  UNIQUE (environment, device_id)
) STRICT;

-- A till's private keys, sealed, with the public half for verification.
CREATE TABLE device_key (
  key_id     INTEGER PRIMARY KEY,
  till_id    INTEGER NOT NULL REFERENCES till,
  sealed     BLOB NOT NULL,
  public_key BLOB NOT NULL,
  created_at INTEGER NOT NULL
) STRICT;

-- Certificates that FDMS issued for those keys.
CREATE TABLE certificate (
  certificate_id INTEGER PRIMARY KEY,
  key_id         INTEGER NOT NULL REFERENCES device_key,
  pem            TEXT NOT NULL,
  created_at     INTEGER NOT NULL
) STRICT;

-- What GetConfig answered, each time that it changed.
CREATE TABLE config (
  config_id  INTEGER PRIMARY KEY,
  till_id    INTEGER NOT NULL REFERENCES till,
  body       TEXT NOT NULL,
  fetched_at INTEGER NOT NULL
) STRICT;

-- The one outbox: FDMS, head office and printers each read it with a cursor of their own.
CREATE TABLE event (
  seq     INTEGER PRIMARY KEY,
  at      INTEGER NOT NULL,
  till_id INTEGER,
  kind    TEXT NOT NULL,
  detail  TEXT
) STRICT;

-- A fiscal day, from its opening on. day_id is the number of its event.
CREATE TABLE day (
  day_id        INTEGER PRIMARY KEY REFERENCES event,
  till_id       INTEGER NOT NULL REFERENCES till,
  fiscal_day_no INTEGER NOT NULL,
  opened        TEXT NOT NULL,
  UNIQUE (till_id, fiscal_day_no)
) STRICT;

-- The close of a fiscal day: counters frozen and signed. seq is the number of its event.
CREATE TABLE day_close (
  seq             INTEGER PRIMARY KEY REFERENCES event,
  day_id          INTEGER NOT NULL UNIQUE REFERENCES day,
  closed          TEXT NOT NULL,
  receipt_counter INTEGER NOT NULL,
  totals          TEXT NOT NULL,
  hash            BLOB NOT NULL,
  signature       BLOB NOT NULL,
  key_id          INTEGER NOT NULL REFERENCES device_key,
  body            TEXT NOT NULL
) STRICT;

-- A receipt. seq is the number of its event; body is, byte for byte, what FDMS is sent;
-- has_key says that it stands in sale_key, else invoice_no (less the till's prefix) is its key.
CREATE TABLE receipt (
  seq          INTEGER PRIMARY KEY REFERENCES event,
  till_id      INTEGER NOT NULL REFERENCES till,
  day_id       INTEGER NOT NULL REFERENCES day,
  global_no    INTEGER NOT NULL,
  counter      INTEGER NOT NULL,
  receipt_type TEXT NOT NULL,
  currency     TEXT NOT NULL,
  total        INTEGER NOT NULL,
  date         TEXT NOT NULL,
  environment  TEXT NOT NULL,
  invoice_no   TEXT NOT NULL,
  has_key      INTEGER NOT NULL CHECK (has_key IN (0, 1)),
  fingerprint  BLOB NOT NULL,
  original_seq INTEGER REFERENCES receipt,
  config_id    INTEGER NOT NULL REFERENCES config,
  key_id       INTEGER NOT NULL REFERENCES device_key,
  hash         BLOB NOT NULL,
  signature    BLOB NOT NULL,
  body         TEXT NOT NULL,
  print        TEXT
) STRICT;
-- Numbers first: tills of a store grow side by side, and their entries then share pages.
CREATE UNIQUE INDEX receipt_number  ON receipt (global_no, till_id);
CREATE UNIQUE INDEX receipt_invoice ON receipt (invoice_no, environment);
CREATE INDEX receipt_original ON receipt (original_seq) WHERE original_seq IS NOT NULL;

-- The receipts that were sold under an Idempotency-Key. A table of its own instead of a partial index,
-- with which SQLite would plan the look-up of every sale anew.
CREATE TABLE sale_key (
  till_id INTEGER NOT NULL REFERENCES till,
  key     TEXT NOT NULL,
  seq     INTEGER NOT NULL REFERENCES receipt,
  PRIMARY KEY (till_id, key)
) STRICT, WITHOUT ROWID;

-- The end of each till's chain: what the next receipt continues. Derivable, and checked by verify.
CREATE TABLE head (
  till_id        INTEGER PRIMARY KEY REFERENCES till,
  last_day_no    INTEGER NOT NULL,
  last_global_no INTEGER NOT NULL,
  last_date      TEXT,
  day_id         INTEGER REFERENCES day,
  last_counter   INTEGER NOT NULL,
  last_hash      BLOB,
  totals         TEXT NOT NULL
) STRICT;

-- How far a till's openings, receipts and closes have been sent, and how the next one is doing.
CREATE TABLE stream (
  till_id        INTEGER PRIMARY KEY REFERENCES till,
  cursor         INTEGER NOT NULL,
  last_day_no    INTEGER NOT NULL,
  last_global_no INTEGER NOT NULL,
  step         TEXT NOT NULL,
  attempts     INTEGER NOT NULL,
  next_attempt INTEGER NOT NULL,
  last_error   TEXT,
  parked       TEXT
) STRICT;

-- What FDMS finally said to an opening, a receipt or a close.
CREATE TABLE submission (
  seq          INTEGER PRIMARY KEY REFERENCES event,
  till_id      INTEGER NOT NULL REFERENCES till,
  finished_at  INTEGER NOT NULL,
  operation_id TEXT,
  color        TEXT,
  answer       TEXT NOT NULL
) STRICT;

-- Tokens of tills and technicians: only their hashes.
CREATE TABLE token (
  token_id   INTEGER PRIMARY KEY,
  name       TEXT NOT NULL,
  till_id    INTEGER REFERENCES till,
  hash       BLOB NOT NULL UNIQUE,
  created_at INTEGER NOT NULL,
  revoked_at INTEGER
) STRICT;

-- Who did what, chained by hash.
CREATE TABLE audit (
  audit_id INTEGER PRIMARY KEY,
  at       INTEGER NOT NULL,
  actor    TEXT NOT NULL,
  action   TEXT NOT NULL,
  till_id  INTEGER,
  detail   TEXT NOT NULL,
  hash     BLOB NOT NULL
) STRICT;
",
    r"
-- From when on a certificate was used; a renewed one is kept first, and used once FDMS has accepted it.
ALTER TABLE certificate ADD COLUMN used_since INTEGER;
UPDATE certificate SET used_since = created_at;
",
    r"
-- Whether the taxpayer paid VAT when the day was opened; not known of days before this version.
ALTER TABLE day ADD COLUMN is_vat_payer INTEGER CHECK (is_vat_payer IN (0, 1));
",
    r"
-- Whether FDMS's own signature over what it has taken fits; none where it gave none.
ALTER TABLE submission ADD COLUMN server_signature TEXT
  CHECK (server_signature IN ('valid', 'invalid', 'unchecked'));
",
    r"
-- What keeps a till from selling, and the till that its new sales go to instead.
CREATE TABLE till_state (
  till_id   INTEGER PRIMARY KEY REFERENCES till,
  hold      TEXT CHECK (hold IN ('unchecked', 'ahead', 'retired')),
  reason    TEXT,
  since     INTEGER,
  successor INTEGER REFERENCES till
) STRICT;

-- A till goes on from numbers that are not this ledger's: it was taken over, or FDMS is ahead. own_… are the
-- ledger's own until then; the last four are of a day that was open then. seq is the number of its event.
CREATE TABLE adoption (
  seq            INTEGER PRIMARY KEY REFERENCES event,
  till_id        INTEGER NOT NULL REFERENCES till,
  own_day_no     INTEGER NOT NULL,
  own_global_no  INTEGER NOT NULL,
  last_day_no    INTEGER NOT NULL,
  last_global_no INTEGER NOT NULL,
  last_date      TEXT,
  day_opened     TEXT,
  last_counter   INTEGER,
  last_hash      BLOB,
  totals         TEXT
) STRICT;
",
    r"
-- A file of an offline device: a span of its stream. counts says that its number is used up at FDMS.
CREATE TABLE file (
  file_id      INTEGER PRIMARY KEY,
  till_id      INTEGER NOT NULL REFERENCES till,
  day_id       INTEGER NOT NULL REFERENCES day,
  sequence     INTEGER NOT NULL,
  first_no     INTEGER,
  last_no      INTEGER,
  has_footer   INTEGER NOT NULL CHECK (has_footer IN (0, 1)),
  step         TEXT NOT NULL CHECK (step IN ('sending', 'sent', 'done', 'failed')),
  counts       INTEGER NOT NULL CHECK (counts IN (0, 1)),
  created_at   INTEGER NOT NULL,
  operation_id TEXT,
  error        TEXT,
  answer       TEXT
) STRICT;
CREATE INDEX file_day ON file (till_id, day_id);
",
    r"
-- What is printed of a thing that is in no other table; tail follows the fiscal block.
CREATE TABLE print_body (
  body_id INTEGER PRIMARY KEY,
  body    BLOB NOT NULL,
  tail    BLOB
) STRICT;

-- The printers' queue. subject is shared by all papers of one thing: a receipt, a report, a slip; one of them
-- is its original, for ever.
CREATE TABLE print_job (
  job_id     INTEGER PRIMARY KEY AUTOINCREMENT,
  printer    TEXT NOT NULL,
  kind       TEXT NOT NULL CHECK (kind IN ('receipt', 'z_report', 'blocks', 'captured', 'drawer')),
  till_id    INTEGER REFERENCES till,
  seq        INTEGER REFERENCES event,
  subject    TEXT,
  key        TEXT UNIQUE,
  body_id    INTEGER REFERENCES print_body,
  heading    TEXT CHECK (heading IN ('original', 'copy')),
  state      TEXT NOT NULL
    CHECK (state IN ('queued', 'held', 'sending', 'await_ack', 'done', 'unknown', 'failed', 'lost')),
  detail     TEXT,
  created_at INTEGER NOT NULL,
  changed_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX print_original ON print_job (subject) WHERE heading = 'original';
CREATE INDEX print_subject ON print_job (subject);
CREATE INDEX print_seq ON print_job (seq) WHERE seq IS NOT NULL;
CREATE INDEX print_printer ON print_job (printer, job_id);
CREATE INDEX print_doubt ON print_job (job_id) WHERE state = 'unknown';
CREATE INDEX print_open ON print_job (printer, job_id) WHERE state IN ('queued', 'held', 'sending', 'await_ack');

-- What old POS software printed, less questions that were answered, and what became of it. lost are bytes that
-- there was no room for; receipt is the event of the one issued.
CREATE TABLE captured (
  captured_id INTEGER PRIMARY KEY AUTOINCREMENT,
  port        TEXT NOT NULL,
  at          INTEGER NOT NULL,
  lost        INTEGER NOT NULL,
  state       TEXT NOT NULL CHECK (state IN ('new', 'passed', 'sold', 'repeated', 'quarantined', 'dropped')),
  template    TEXT,
  receipt     INTEGER REFERENCES receipt,
  reasons     TEXT,
  changed_at  INTEGER NOT NULL,
  body        BLOB NOT NULL
) STRICT;
CREATE INDEX captured_state ON captured (state, captured_id);
CREATE INDEX captured_receipt ON captured (receipt) WHERE receipt IS NOT NULL;

-- A fiscal printer that we play for old POS software: its open receipt and its last reply, in one piece.
CREATE TABLE register (
  port TEXT PRIMARY KEY,
  kept TEXT NOT NULL
) STRICT, WITHOUT ROWID;
",
    r"
-- Head office, once the store has joined it. secret and seal_key are sealed. acked and hash say how far it has
-- our lines, in the series epoch; fork is where that series leaves the one before it, until head office has
-- acknowledged it. wanted is what was put into effect last.
CREATE TABLE hq (
  one           INTEGER PRIMARY KEY CHECK (one = 1),
  url           TEXT NOT NULL,
  ca            TEXT,
  store_id      TEXT NOT NULL,
  tenant_id     TEXT NOT NULL,
  tenant        TEXT NOT NULL,
  store         TEXT NOT NULL,
  secret        BLOB NOT NULL,
  seal_key      BLOB NOT NULL,
  epoch         TEXT NOT NULL,
  fork          TEXT,
  acked         INTEGER NOT NULL,
  hash          BLOB NOT NULL,
  commands_seen INTEGER NOT NULL,
  wanted        TEXT NOT NULL,
  last_contact  INTEGER,
  joined_at     INTEGER NOT NULL
) STRICT;

-- What head office has asked for, and what came of it.
CREATE TABLE hq_command (
  no          INTEGER PRIMARY KEY,
  id          TEXT NOT NULL UNIQUE,
  body        TEXT NOT NULL,
  state       TEXT NOT NULL CHECK (state IN ('kept', 'begun', 'ended')),
  received_at INTEGER NOT NULL,
  ended_at    INTEGER,
  outcome     TEXT
) STRICT;

-- Whether tills of an environment may sell and send, as head office has decided; none: it has not.
CREATE TABLE gate (
  environment TEXT PRIMARY KEY CHECK (environment IN ('test', 'production')),
  enabled     INTEGER NOT NULL CHECK (enabled IN (0, 1)),
  reason      TEXT NOT NULL,
  since       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The event of the last controlled test receipt, or of what belongs to it: up to it a closed gate lets things pass.
ALTER TABLE till_state ADD COLUMN controlled INTEGER;

-- The event of a configuration.
ALTER TABLE config ADD COLUMN seq INTEGER REFERENCES event;
UPDATE config SET seq = told.seq FROM (
  SELECT c.config_id, e.seq FROM
    (SELECT config_id, till_id, fetched_at,
            row_number() OVER (PARTITION BY till_id ORDER BY config_id) AS n FROM config) c
    JOIN (SELECT seq, at, till_id, row_number() OVER (PARTITION BY till_id ORDER BY seq) AS n
          FROM event WHERE kind = 'config.changed') e
    ON e.till_id = c.till_id AND e.n = c.n AND e.at = c.fetched_at) AS told
WHERE told.config_id = config.config_id;

-- Events that earlier versions did not write: of the tills, and of each one's first certificate.
INSERT INTO event (seq, at, till_id, kind)
  SELECT (SELECT coalesce(max(seq), 0) FROM event) + row_number() OVER (ORDER BY till_id),
         created_at, till_id, 'till.added'
  FROM till;
INSERT INTO event (seq, at, till_id, kind, detail)
  SELECT (SELECT coalesce(max(seq), 0) FROM event) + row_number() OVER (ORDER BY certificate_id),
         c.used_since, k.till_id, 'certificate.used', CAST(c.certificate_id AS TEXT)
  FROM certificate c JOIN device_key k USING (key_id)
  WHERE c.used_since IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM event e
    WHERE e.kind = 'certificate.used' AND e.till_id = k.till_id AND e.at = c.used_since);

-- The key that a receipt was sold under, beside its event: found by the event's number.
UPDATE event SET detail = k.key FROM sale_key k WHERE k.seq = event.seq;
",
    r"
-- Tills that head office has blocked, by their names at FDMS: one may be registered here only later.
CREATE TABLE blocked (
  environment TEXT NOT NULL CHECK (environment IN ('test', 'production')),
  device_id   INTEGER NOT NULL,
  reason      TEXT NOT NULL,
  since       INTEGER NOT NULL,
  PRIMARY KEY (environment, device_id)
) STRICT, WITHOUT ROWID;
",
    r"
-- A year whose receipts have left the ledger for a file beside it: their bodies, signatures and what only a slip prints,
-- and what FDMS answered. The rows of receipt and submission stay, with these columns empty. emptied says that all of
-- them are.
CREATE TABLE archive (
  file      TEXT PRIMARY KEY,
  year      INTEGER NOT NULL UNIQUE,
  first_seq INTEGER NOT NULL,
  last_seq  INTEGER NOT NULL,
  receipts  INTEGER NOT NULL,
  sha256    TEXT NOT NULL,
  emptied   INTEGER NOT NULL CHECK (emptied IN (0, 1)),
  made_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
",
];

/// Brings a ledger to this version's tables.
///
/// # Errors
/// The file cannot be written, or a newer version has already changed it.
pub(super) fn migrate(conn: &mut Connection) -> Result<(), StorageError> {
    migrate_to(conn, newest())
}

/// The step that this version's tables are at.
pub(super) fn newest() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}

/// As [`migrate`], up to an earlier step: what an earlier version has left.
pub(super) fn migrate_to(conn: &mut Connection, newest: i64) -> Result<(), StorageError> {
    let tx = conn.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let version = version(&tx)?;
    if version > newest {
        return Err(StorageError::Newer {
            found: version,
            known: newest,
        });
    }
    let done = usize::try_from(version).unwrap_or(0);
    let last = usize::try_from(newest).unwrap_or(0);
    for step in MIGRATIONS.iter().take(last).skip(done) {
        tx.execute_batch(step)?;
    }
    tx.pragma_update(None, "user_version", newest)?;
    if version < newest {
        crash::at(Point::MigrateWritten);
    }
    tx.commit()?;
    Ok(())
}

/// The number of steps done on a ledger.
///
/// # Errors
/// The file cannot be read.
pub(super) fn version(conn: &Connection) -> Result<i64, StorageError> {
    Ok(conn.query_row("PRAGMA user_version", [], |row| row.get(0))?)
}
