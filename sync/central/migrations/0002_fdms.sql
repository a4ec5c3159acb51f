-- Tills, credentials, what stores have sent, commands, alerts, the checklist.

CREATE TABLE fdms_devices (
  tenant_id              uuid NOT NULL REFERENCES tenants,
  environment            text NOT NULL CHECK (environment IN ('test', 'prod')),
  device_id              integer NOT NULL CHECK (device_id > 0),
  serial_no              text NOT NULL,
  model_name             text NOT NULL DEFAULT '',
  model_version          text NOT NULL DEFAULT '',
  store_id               uuid NOT NULL,
  machine_name           text NOT NULL DEFAULT '',  -- the cashier machine; its test and production till share it
  mode                   text NOT NULL DEFAULT 'hybrid' CHECK (mode IN ('online', 'offline', 'hybrid')),
  state                  text NOT NULL DEFAULT 'pending'
                         CHECK (state IN ('pending', 'registered', 'active', 'blocked', 'retired')),
  invoice_prefix         text NOT NULL,
  -- As the store last said:
  operating_mode         text,
  hold                   text,
  hold_reason            text,
  fiscal_day_no          integer,                    -- open; none: closed
  fiscal_day_opened      timestamp,
  last_day_no            integer NOT NULL DEFAULT 0,
  last_receipt_global_no integer NOT NULL DEFAULT 0,
  sent_receipt_global_no integer NOT NULL DEFAULT 0,
  waiting                integer NOT NULL DEFAULT 0,
  oldest_waiting_at      timestamptz,
  parked                 text,
  line                   text,
  certificate_thumbprint text,
  certificate_from       timestamptz,
  certificate_till       timestamptz,
  last_error             text,
  last_seen_at           timestamptz,
  created_by             text NOT NULL,
  created_at             timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, environment, device_id),
  UNIQUE (tenant_id, environment, invoice_prefix),
  FOREIGN KEY (tenant_id, store_id) REFERENCES stores
) WITH (fillfactor = 70);
CREATE INDEX fdms_devices_store ON fdms_devices (tenant_id, store_id);

CREATE TABLE fdms_tenant_credentials (
  tenant_id       uuid NOT NULL,
  environment     text NOT NULL CHECK (environment IN ('test', 'prod')),
  device_id       integer NOT NULL,
  version         integer NOT NULL CHECK (version > 0),
  label           text NOT NULL,
  thumbprint      text NOT NULL,
  certificate     text NOT NULL,                     -- PEM
  sealed_key      bytea,                             -- nonce and AES-256-GCM; none: the key never left the store
  master_key_id   text,
  valid_from      timestamptz NOT NULL,
  valid_till      timestamptz NOT NULL,
  active          boolean NOT NULL DEFAULT false,
  created_by      text NOT NULL,
  created_at      timestamptz NOT NULL,
  activated_at    timestamptz,
  delivered_at    timestamptz,                       -- the store has it
  revoked_at      timestamptz,
  revoked_reason  text,
  PRIMARY KEY (tenant_id, environment, device_id, version),
  FOREIGN KEY (tenant_id, environment, device_id) REFERENCES fdms_devices
);
CREATE UNIQUE INDEX fdms_credentials_active ON fdms_tenant_credentials (tenant_id, environment, device_id) WHERE active;

-- How far HQ has a store's lines; locked while a batch is taken. The state is the store's last snapshot.
CREATE TABLE store_cursors (
  tenant_id     uuid NOT NULL,
  store_id      uuid NOT NULL,
  epoch_no      integer NOT NULL,
  epoch         uuid NOT NULL,
  acked         bigint NOT NULL,
  hash          bytea NOT NULL,
  last_command  bigint NOT NULL DEFAULT 0,           -- numbers given to commands
  seen_command  bigint NOT NULL DEFAULT 0,           -- the store has kept all up to this one
  last_seen_at  timestamptz NOT NULL,
  last_entry_at timestamptz,
  state_at      timestamptz,
  state         jsonb,
  version       text,
  clock_skew_ms bigint,
  revision      bigint NOT NULL DEFAULT 0,           -- of Wanted, in effect at the store
  PRIMARY KEY (tenant_id, store_id),
  FOREIGN KEY (tenant_id, store_id) REFERENCES stores
) WITH (fillfactor = 50);

CREATE TABLE store_epochs (
  tenant_id   uuid NOT NULL,
  store_id    uuid NOT NULL,
  epoch_no    integer NOT NULL,
  epoch       uuid NOT NULL,
  parent_no   integer,
  -- The last line in common with the parent; moves on as long as the store sends lines again that the parent has.
  forked_at   bigint,
  fork_hash   bytea,
  reason      text NOT NULL,
  began_at    timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, store_id, epoch_no),
  UNIQUE (tenant_id, store_id, epoch)
);

-- The hash over all lines up to some of them, about every thousandth: so a fork is checked, and the past of a lost
-- store given back, without walking from the first line.
CREATE TABLE store_points (
  tenant_id uuid NOT NULL,
  store_id  uuid NOT NULL,
  epoch_no  integer NOT NULL,
  seq       bigint NOT NULL,
  hash      bytea NOT NULL,
  PRIMARY KEY (tenant_id, store_id, epoch_no, seq)
);

-- Receipts as synced: one row is the whole entry. rest is what only a ledger that is built again needs.
CREATE TABLE receipts (
  tenant_id         uuid NOT NULL,
  environment       text NOT NULL,
  device_id         integer NOT NULL,
  receipt_global_no integer NOT NULL,
  hash              bytea NOT NULL,
  store_id          uuid NOT NULL,
  epoch_no          integer NOT NULL,
  seq               bigint NOT NULL,
  at                timestamptz NOT NULL,
  fiscal_day_no     integer NOT NULL,
  receipt_counter   integer NOT NULL,
  receipt_type      text NOT NULL,
  receipt_currency  text NOT NULL,
  receipt_total     bigint NOT NULL,                 -- cents
  receipt_date      timestamp NOT NULL,
  invoice_no        text NOT NULL,
  body              text NOT NULL,                   -- what FDMS is sent, byte for byte
  -- The entry's own body as it came (signature, key, fingerprint, print, …), with an empty text for what column
  -- `body` holds. One that begins with a space is whole, as the two would not give the very same bytes again.
  rest              text NOT NULL,
  PRIMARY KEY (tenant_id, environment, device_id, receipt_global_no, hash)
);
CREATE INDEX receipts_entry ON receipts (tenant_id, store_id, epoch_no, seq);

CREATE TABLE fiscal_days (
  tenant_id       uuid NOT NULL,
  environment     text NOT NULL,
  device_id       integer NOT NULL,
  fiscal_day_no   integer NOT NULL,
  store_id        uuid NOT NULL,
  opened          timestamp NOT NULL,
  closed          timestamp,
  receipt_counter integer,
  counters        jsonb,                             -- fiscalDayCounters as signed
  confirmed_at    timestamptz,                       -- FDMS has taken the close
  fdms_error      text,
  PRIMARY KEY (tenant_id, environment, device_id, fiscal_day_no)
);

-- Every attempt to send something to FDMS: one row is the whole entry. By month of the store's own clock;
-- what has no month of its own is in the default partition.
CREATE TABLE fdms_submission_logs (
  tenant_id        uuid NOT NULL,
  at               timestamptz NOT NULL,
  store_id         uuid NOT NULL,
  epoch_no         integer NOT NULL,
  seq              bigint NOT NULL,
  environment      text NOT NULL,
  device_id        integer NOT NULL,
  kind             text NOT NULL,                    -- open_day, submit_receipt, close_day, submit_file
  number           integer NOT NULL,
  item_seq         bigint NOT NULL,
  attempt          integer NOT NULL,
  outcome          text NOT NULL,                    -- accepted, refused, later, unknown
  http_status      integer,
  fdms_code        text,
  operation_id     text,
  color            text,
  error_message    text,
  duration_ms      integer NOT NULL,
  answer           text,
  server_signature text,
  raw              text,                             -- the body as it came, where the columns do not give it again
  PRIMARY KEY (tenant_id, at, store_id, epoch_no, seq)
) PARTITION BY RANGE (at);
CREATE TABLE fdms_submission_logs_default PARTITION OF fdms_submission_logs DEFAULT;
CREATE INDEX fdms_submission_logs_entry ON fdms_submission_logs (tenant_id, store_id, epoch_no, seq);
CREATE INDEX fdms_submission_logs_item ON fdms_submission_logs (tenant_id, environment, device_id, kind, number);

-- All other entries, as they came.
CREATE TABLE store_events (
  tenant_id   uuid NOT NULL,
  store_id    uuid NOT NULL,
  epoch_no    integer NOT NULL,
  seq         bigint NOT NULL,
  at          timestamptz NOT NULL,
  environment text,
  device_id   integer,
  kind        text NOT NULL,
  body        text NOT NULL,                         -- JSON
  PRIMARY KEY (tenant_id, store_id, epoch_no, seq)
);

CREATE TABLE fdms_retry_jobs (
  tenant_id       uuid NOT NULL,
  store_id        uuid NOT NULL,
  environment     text NOT NULL,
  device_id       integer NOT NULL,
  kind            text NOT NULL,                     -- as in the logs
  number          integer NOT NULL,
  item_seq        bigint NOT NULL DEFAULT 0,
  status          text NOT NULL CHECK (status IN ('pending', 'in_flight', 'done', 'dead_letter')),
  attempts        integer NOT NULL DEFAULT 0,
  next_attempt_at timestamptz,
  reason          text,
  code            text,
  command_id      uuid,                              -- of a controlled test submission
  created_at      timestamptz NOT NULL,
  updated_at      timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, environment, device_id, kind, number)
);
CREATE INDEX fdms_retry_jobs_open ON fdms_retry_jobs (tenant_id, status, environment, device_id) WHERE status <> 'done';
CREATE INDEX fdms_retry_jobs_store ON fdms_retry_jobs (tenant_id, store_id) WHERE status <> 'done';

CREATE TABLE commands (
  tenant_id    uuid NOT NULL,
  store_id     uuid NOT NULL,
  command_no   bigint NOT NULL,
  command_id   uuid NOT NULL,
  kind         text NOT NULL,
  environment  text,
  device_id    integer,
  body         jsonb NOT NULL,                       -- sync_wire::command::Order; keys only sealed for the store
  status       text NOT NULL DEFAULT 'queued'
               CHECK (status IN ('queued', 'delivered', 'done', 'refused', 'failed', 'expired')),
  issued_by    text NOT NULL,
  issued_at    timestamptz NOT NULL,
  expires_at   timestamptz NOT NULL,
  delivered_at timestamptz,
  finished_at  timestamptz,
  detail       text,
  number       integer,
  result       jsonb,
  PRIMARY KEY (tenant_id, store_id, command_no),
  UNIQUE (tenant_id, command_id),
  FOREIGN KEY (tenant_id, store_id) REFERENCES stores
);

CREATE TABLE alerts (
  tenant_id   uuid NOT NULL REFERENCES tenants,
  alert_id    uuid NOT NULL,
  kind        text NOT NULL,   -- day_not_closed, unsent, dead_letter, certificate, silent_store, clock, rotation, fork, number_conflict, …
  subject     text NOT NULL,   -- what it is about, unique within the kind: a till, a store
  severity    text NOT NULL CHECK (severity IN ('warning', 'fault')),
  store_id    uuid,
  environment text,
  device_id   integer,
  detail      text NOT NULL,   -- a sentence: what is wrong and what to do
  since       timestamptz NOT NULL,
  ended_at    timestamptz,
  PRIMARY KEY (tenant_id, alert_id)
);
CREATE UNIQUE INDEX alerts_open ON alerts (tenant_id, kind, subject) WHERE ended_at IS NULL;

CREATE TABLE alert_channels (
  tenant_id  uuid NOT NULL REFERENCES tenants,
  channel_id uuid NOT NULL,
  kind       text NOT NULL CHECK (kind IN ('webhook', 'email')),
  target     text NOT NULL,
  secret     bytea,                                  -- sealed: signs webhooks
  enabled    boolean NOT NULL DEFAULT true,
  created_by text NOT NULL,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, channel_id)
);

CREATE TABLE alert_deliveries (
  tenant_id       uuid NOT NULL,
  alert_id        uuid NOT NULL,
  channel_id      uuid NOT NULL,
  what            text NOT NULL CHECK (what IN ('began', 'ended')),
  attempts        integer NOT NULL DEFAULT 0,
  next_attempt_at timestamptz NOT NULL,
  delivered_at    timestamptz,
  last_error      text,
  PRIMARY KEY (tenant_id, alert_id, channel_id, what)
);

CREATE TABLE go_live_steps (
  tenant_id uuid NOT NULL REFERENCES tenants,
  step      text NOT NULL,
  proved_at timestamptz NOT NULL,
  evidence  jsonb NOT NULL,                          -- the rows it rests on
  PRIMARY KEY (tenant_id, step)
);
