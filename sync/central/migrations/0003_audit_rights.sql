-- The audit's chain, the rights of the service, row-level security, partitions.

CREATE TABLE fdms_audit_logs (
  tenant_id uuid NOT NULL REFERENCES tenants,
  audit_no  bigint NOT NULL,
  at        timestamptz NOT NULL,
  actor     text NOT NULL,         -- user:EMAIL, token:NAME, store:NAME, worker, operator:EMAIL
  action    text NOT NULL,         -- profile.write, credential.upload, device.create, command.retry, access.denied, …
  subject   text NOT NULL,
  before    jsonb,
  after     jsonb,
  previous  bytea NOT NULL,
  hash      bytea NOT NULL,
  PRIMARY KEY (tenant_id, audit_no)
);

-- The end of each tenant's chain: locked by whoever writes the next row.
CREATE TABLE audit_heads (
  tenant_id uuid PRIMARY KEY REFERENCES tenants,
  audit_no  bigint NOT NULL,
  hash      bytea NOT NULL
);

-- What a row's hash covers. `fiscal-hq audit verify` computes the same outside the database.
CREATE FUNCTION hq_audit_text(a fdms_audit_logs) RETURNS text LANGUAGE sql STABLE AS
$$ SELECT concat_ws(E'\x1f', encode(a.previous, 'hex'), a.tenant_id::text, a.audit_no::text,
     (extract(epoch FROM a.at) * 1000000)::bigint::text, a.actor, a.action, a.subject,
     coalesce(a.before::text, '-'), coalesce(a.after::text, '-')) $$;

-- Number, place in the chain and hash are given here, whoever writes.
CREATE FUNCTION hq_audit_chain() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = public, pg_temp AS $$
DECLARE head audit_heads;
BEGIN
  IF NEW.tenant_id IS DISTINCT FROM hq_tenant() THEN
    RAISE EXCEPTION 'an audit row is written by its own tenant';
  END IF;
  INSERT INTO audit_heads VALUES (NEW.tenant_id, 0, sha256(convert_to(NEW.tenant_id::text, 'UTF8')))
    ON CONFLICT DO NOTHING;
  SELECT * INTO head FROM audit_heads WHERE tenant_id = NEW.tenant_id FOR UPDATE;
  NEW.audit_no := head.audit_no + 1;
  NEW.previous := head.hash;
  NEW.hash := sha256(convert_to(hq_audit_text(NEW), 'UTF8'));
  UPDATE audit_heads SET audit_no = NEW.audit_no, hash = NEW.hash WHERE tenant_id = NEW.tenant_id;
  RETURN NEW;
END $$;
CREATE TRIGGER fdms_audit_chain BEFORE INSERT ON fdms_audit_logs FOR EACH ROW EXECUTE FUNCTION hq_audit_chain();

CREATE FUNCTION hq_append_only() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION '% is only appended to', TG_TABLE_NAME; END $$;
CREATE TRIGGER fdms_audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON fdms_audit_logs
  FOR EACH STATEMENT EXECUTE FUNCTION hq_append_only();
CREATE TRIGGER receipts_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON receipts
  FOR EACH STATEMENT EXECUTE FUNCTION hq_append_only();

-- The service's rights: rows, never tables; of some tables only appending.
GRANT USAGE ON SCHEMA public TO fiscal_hq_app;
GRANT SELECT, INSERT, UPDATE ON tenants, tenant_fiscal_profiles, users, api_tokens, stores, enrolment_codes, user_codes,
  tenant_summaries, fdms_devices, fdms_tenant_credentials, store_cursors, fiscal_days, fdms_retry_jobs, commands, alerts,
  alert_channels, alert_deliveries, go_live_steps TO fiscal_hq_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON sessions, sign_in_pauses TO fiscal_hq_app;
GRANT DELETE ON alert_channels, alert_deliveries TO fiscal_hq_app;
GRANT SELECT, INSERT ON fdms_audit_logs, receipts, fdms_submission_logs, store_events, store_epochs, store_points TO fiscal_hq_app;
GRANT UPDATE (forked_at, fork_hash) ON store_epochs TO fiscal_hq_app;

-- Row-level security, forced on the owner too. A tenant sees its own rows; the operator also who the tenants are.
DO $$
DECLARE name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['tenant_fiscal_profiles', 'users', 'sessions', 'user_codes', 'sign_in_pauses', 'api_tokens', 'stores',
    'enrolment_codes', 'fdms_devices', 'fdms_tenant_credentials', 'store_cursors', 'store_epochs', 'store_points', 'receipts', 'fiscal_days',
    'fdms_submission_logs', 'store_events', 'fdms_retry_jobs', 'commands', 'alerts', 'alert_channels', 'alert_deliveries',
    'go_live_steps', 'fdms_audit_logs'] LOOP
    EXECUTE format('CREATE POLICY own_tenant ON %I USING (tenant_id = (SELECT hq_tenant()))', name);
  END LOOP;
  FOREACH name IN ARRAY ARRAY['tenants', 'tenant_summaries'] LOOP
    EXECUTE format('CREATE POLICY own_tenant ON %I USING (tenant_id = (SELECT hq_tenant())
      OR (SELECT hq_tenant()) = ''00000000-0000-0000-0000-000000000000'')', name);
  END LOOP;
  -- Only through the functions, which run as the owner.
  FOREACH name IN ARRAY ARRAY['lookups', 'audit_heads', 'fdms_submission_logs_default'] LOOP
    EXECUTE format('CREATE POLICY owner_only ON %I TO CURRENT_USER USING (true)', name);
  END LOOP;
  FOR name IN SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND c.relname <> 'schema_migrations' LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
  END LOOP;
END $$;

-- The end of the tenant's own chain, for who checks it; nothing but inserting moves it.
CREATE FUNCTION hq_audit_head() RETURNS TABLE (audit_no bigint, hash bytea)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS
$$ SELECT h.audit_no, h.hash FROM audit_heads h WHERE h.tenant_id = hq_tenant() $$;

-- Makes the partitions of this and the next months; how many were made. Months are UTC's. Rows that have waited
-- in the default partition move to theirs.
CREATE FUNCTION hq_make_partitions(today date, months integer) RETURNS integer LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = public, pg_temp SET timezone = 'UTC' AS $$
DECLARE
  first date;
  name text;
  made integer := 0;
BEGIN
  PERFORM pg_advisory_xact_lock(7210001);
  FOR i IN 0..months LOOP
    first := (date_trunc('month', today) + make_interval(months => i))::date;
    name := 'fdms_submission_logs_' || to_char(first, 'YYYYMM');
    CONTINUE WHEN to_regclass('public.' || name) IS NOT NULL;
    EXECUTE format('CREATE TABLE %I (LIKE fdms_submission_logs INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', name);
    EXECUTE format('WITH moved AS (DELETE FROM fdms_submission_logs_default WHERE at >= %L AND at < %L RETURNING *)
      INSERT INTO %I SELECT * FROM moved', first::timestamptz, (first + interval '1 month')::timestamptz, name);
    EXECUTE format('ALTER TABLE fdms_submission_logs ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
      name, first::timestamptz, (first + interval '1 month')::timestamptz);
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
    made := made + 1;
  END LOOP;
  RETURN made;
END $$;

REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC;
GRANT EXECUTE ON FUNCTION hq_tenant(), hq_lookup(text, bytea), hq_lookup_put(text, bytea, uuid),
  hq_lookup_drop(text, bytea), hq_audit_text(fdms_audit_logs), hq_audit_head(), hq_make_partitions(date, integer) TO fiscal_hq_app;
