-- Tenants, people, stores. Run as the owner of the database, who is not the service.
--
-- Every key begins with the tenant, so that tables can be distributed by it. Row-level security is forced:
-- a transaction sees the tenant that it has named with set_config('app.tenant', …, true), and no other. The
-- operator is the tenant with the nil UUID; he alone also sees the list of tenants and their summaries.

CREATE FUNCTION hq_tenant() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE AS
$$ SELECT NULLIF(current_setting('app.tenant', true), '')::uuid $$;

CREATE TABLE tenants (
  tenant_id  uuid PRIMARY KEY,
  name       text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
  created_at timestamptz NOT NULL,
  revision   bigint NOT NULL DEFAULT 1          -- of Wanted, for all stores of the tenant
);

CREATE TABLE tenant_fiscal_profiles (
  tenant_id       uuid PRIMARY KEY REFERENCES tenants,
  legal_name      text NOT NULL DEFAULT '',
  trade_name      text NOT NULL DEFAULT '',
  tin             text NOT NULL DEFAULT '',
  vat_number      text NOT NULL DEFAULT '',
  address         text NOT NULL DEFAULT '',
  environment     text NOT NULL DEFAULT 'test' CHECK (environment IN ('test', 'prod')),
  enabled_test    boolean NOT NULL DEFAULT false,
  enabled_prod    boolean NOT NULL DEFAULT false,
  enabled         boolean NOT NULL GENERATED ALWAYS AS
                  (CASE environment WHEN 'test' THEN enabled_test ELSE enabled_prod END) STORED,
  -- When a person last decided on that environment; none: stores that were selling are left as they are.
  decided_test_at timestamptz,
  decided_prod_at timestamptz,
  reason          text NOT NULL DEFAULT '',     -- why it is disabled, for the POS
  reviewed_by     text,
  reviewed_at     timestamptz,
  rotation_days   integer NOT NULL DEFAULT 365 CHECK (rotation_days BETWEEN 1 AND 3650),
  freeze_from     timestamptz,
  freeze_until    timestamptz,
  bytes_per_second integer CHECK (bytes_per_second > 0),
  unsent_hours    integer NOT NULL DEFAULT 24 CHECK (unsent_hours BETWEEN 1 AND 720),
  silent_minutes  integer NOT NULL DEFAULT 30 CHECK (silent_minutes BETWEEN 1 AND 43200),
  version         bigint NOT NULL DEFAULT 1,    -- of this row; a change names the one that it has seen
  updated_at      timestamptz NOT NULL
);

CREATE TABLE users (
  tenant_id     uuid NOT NULL REFERENCES tenants,
  user_id       uuid NOT NULL,
  email         text NOT NULL CHECK (email = lower(email)),
  name          text NOT NULL,
  role          text NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
  password_hash text,                           -- argon2id; none until the invitation is taken up
  totp_secret   bytea,                          -- sealed
  totp_pending  bytea,                          -- sealed: shown, not confirmed yet
  totp_last     bigint,                         -- the last step that was used: none is good twice
  disabled_at   timestamptz,
  created_at    timestamptz NOT NULL,
  last_seen_at  timestamptz,
  PRIMARY KEY (tenant_id, user_id)
);

CREATE TABLE sessions (
  tenant_id  uuid NOT NULL,
  session_id uuid NOT NULL,
  user_id    uuid NOT NULL,
  key_hash   bytea NOT NULL,                    -- SHA-256 of the cookie
  csrf_hash  bytea NOT NULL,
  created_at timestamptz NOT NULL,
  seen_at    timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, session_id),
  FOREIGN KEY (tenant_id, user_id) REFERENCES users
);

-- Invitations, password resets and the recovery codes of a second factor: good once.
CREATE TABLE user_codes (
  tenant_id  uuid NOT NULL,
  code_id    uuid NOT NULL,
  user_id    uuid NOT NULL,
  kind       text NOT NULL CHECK (kind IN ('invitation', 'reset', 'recovery')),
  key_hash   bytea NOT NULL,
  expires_at timestamptz NOT NULL,
  used_at    timestamptz,
  PRIMARY KEY (tenant_id, code_id),
  FOREIGN KEY (tenant_id, user_id) REFERENCES users
);

-- Sign-ins that failed, per account and address: whose they are is not known yet, so they are the operator's.
CREATE TABLE sign_in_pauses (
  tenant_id uuid NOT NULL REFERENCES tenants,
  key       bytea NOT NULL,                     -- SHA-256 of the account or address
  failures  integer NOT NULL,
  last_at   timestamptz NOT NULL,
  until     timestamptz NOT NULL,               -- nothing is tried before
  PRIMARY KEY (tenant_id, key)
);

CREATE TABLE api_tokens (
  tenant_id  uuid NOT NULL REFERENCES tenants,
  token_id   uuid NOT NULL,
  name       text NOT NULL,
  role       text NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
  key_hash   bytea NOT NULL,
  created_by text NOT NULL,
  created_at timestamptz NOT NULL,
  expires_at timestamptz,
  revoked_at timestamptz,
  PRIMARY KEY (tenant_id, token_id)
);

CREATE TABLE stores (
  tenant_id         uuid NOT NULL REFERENCES tenants,
  store_id          uuid NOT NULL,
  name              text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
  created_at        timestamptz NOT NULL,
  joined_at         timestamptz,
  retired_at        timestamptz,
  key_hash          bytea,                      -- SHA-256 of the store's secret
  seal_key          text,                       -- its half of HPKE, Base64
  was_selling_test  boolean NOT NULL DEFAULT false,   -- when it joined
  was_selling_prod  boolean NOT NULL DEFAULT false,
  PRIMARY KEY (tenant_id, store_id),
  UNIQUE (tenant_id, name)
);

CREATE TABLE enrolment_codes (
  tenant_id  uuid NOT NULL,
  code_id    uuid NOT NULL,
  store_id   uuid NOT NULL,
  key_hash   bytea NOT NULL,
  created_by text NOT NULL,
  expires_at timestamptz NOT NULL,
  used_at    timestamptz,
  PRIMARY KEY (tenant_id, code_id),
  FOREIGN KEY (tenant_id, store_id) REFERENCES stores
);

-- What must be found before the tenant is known: whose is this hash? The service may not read it; it asks the
-- functions below, one hash at a time.
CREATE TABLE lookups (
  kind      text NOT NULL CHECK (kind IN ('login', 'session', 'token', 'store', 'enrolment', 'user_code')),
  key       bytea NOT NULL,                     -- SHA-256 of the email, cookie, token, secret or code
  tenant_id uuid NOT NULL,
  id        uuid NOT NULL,
  PRIMARY KEY (kind, key)
);

CREATE FUNCTION hq_lookup(wanted text, hash bytea) RETURNS TABLE (tenant_id uuid, id uuid)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS
$$ SELECT l.tenant_id, l.id FROM lookups l WHERE l.kind = wanted AND l.key = hash $$;

CREATE FUNCTION hq_lookup_put(wanted text, hash bytea, whose uuid) RETURNS void
  LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS
$$ INSERT INTO lookups VALUES (wanted, hash, hq_tenant(), whose) $$;

CREATE FUNCTION hq_lookup_drop(wanted text, hash bytea) RETURNS void
  LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS
$$ DELETE FROM lookups WHERE kind = wanted AND key = hash AND tenant_id = hq_tenant() $$;

-- What the operator's overview reads: one row per tenant, kept by the worker.
CREATE TABLE tenant_summaries (
  tenant_id       uuid PRIMARY KEY REFERENCES tenants,
  stores          integer NOT NULL DEFAULT 0,
  tills           integer NOT NULL DEFAULT 0,
  silent_stores   integer NOT NULL DEFAULT 0,
  open_days       integer NOT NULL DEFAULT 0,
  unsent          bigint NOT NULL DEFAULT 0,
  oldest_unsent   timestamptz,
  dead_letters    integer NOT NULL DEFAULT 0,
  expiring        integer NOT NULL DEFAULT 0,
  alerts          integer NOT NULL DEFAULT 0,
  updated_at      timestamptz NOT NULL
);
