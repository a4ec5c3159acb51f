-- The months of the submission log are made of whatever waits in the default partition too: lines of a store that joins
-- late, or of the months in which head office was away. And what the VAT return asks: the fiscal days of a month.

CREATE INDEX fiscal_days_opened ON fiscal_days (tenant_id, environment, opened);
CREATE INDEX fiscal_days_closed ON fiscal_days (tenant_id, environment, closed);

-- Makes the partitions of this and the next months that nothing waits for; how many were made. Months are UTC's. Those of
-- rows in the default partition are hq_move_month's.
CREATE OR REPLACE FUNCTION hq_make_partitions(today date, months integer) RETURNS integer LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = public, pg_temp SET timezone = 'UTC' AS $$
DECLARE
  first timestamptz;
  beyond timestamptz;
  name text;
  made integer := 0;
BEGIN
  PERFORM pg_advisory_xact_lock(7210001);
  FOR i IN 0..months LOOP
    first := date_trunc('month', today::timestamptz) + make_interval(months => i);
    beyond := first + interval '1 month';
    name := 'fdms_submission_logs_' || to_char(first, 'YYYYMM');
    CONTINUE WHEN to_regclass('public.' || name) IS NOT NULL;
    -- Nothing comes into the default partition between looking and making.
    LOCK TABLE fdms_submission_logs_default IN ACCESS EXCLUSIVE MODE;
    CONTINUE WHEN EXISTS (SELECT FROM fdms_submission_logs_default WHERE at >= first AND at < beyond);
    -- Attached, not made as a part: so nobody is kept from the other months.
    EXECUTE format('CREATE TABLE %I (LIKE fdms_submission_logs INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES)', name);
    EXECUTE format('ALTER TABLE fdms_submission_logs ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', name, first, beyond);
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
    made := made + 1;
  END LOOP;
  RETURN made;
END $$;

-- The months of what waits in the default partition, of the last ten years and up to three months ahead: what a clock that
-- was wrong by more has written stays there. A table of the month's name that is no partition (one that was detached)
-- is left alone, and its month with it.
CREATE FUNCTION hq_waiting_months(today date) RETURNS SETOF date LANGUAGE sql STABLE SECURITY DEFINER
  SET search_path = public, pg_temp SET timezone = 'UTC' AS
$$ SELECT month FROM (SELECT DISTINCT date_trunc('month', at)::date AS month FROM fdms_submission_logs_default) waits
   WHERE month >= date_trunc('month', today) - interval '10 years' AND month <= today + interval '3 months'
     AND to_regclass('public.fdms_submission_logs_' || to_char(month, 'YYYYMM')) IS NULL
   ORDER BY month $$;

-- Goes on making a month of what waits: copies so many rows at most into a table that is no partition yet, so each is
-- where it was until the whole month is in its place. True: it is; false: there is more to copy, in the next
-- transaction; null: somebody else is at it. Only the last step keeps others from the default partition.
CREATE FUNCTION hq_move_month(month date, step integer) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = public, pg_temp SET timezone = 'UTC' SET lock_timeout = '2s' AS $$
DECLARE
  first timestamptz := date_trunc('month', month::timestamptz);
  beyond timestamptz := first + interval '1 month';
  name text := 'fdms_submission_logs_' || to_char(first, 'YYYYMM');
  copy text := 'fdms_submission_logs_waits_' || to_char(first, 'YYYYMM');
  reached fdms_submission_logs_default;
  copied integer;
BEGIN
  IF NOT pg_try_advisory_xact_lock(7210001) THEN
    RETURN NULL;
  END IF;
  IF to_regclass('public.' || name) IS NOT NULL THEN
    RETURN true;
  END IF;
  IF to_regclass('public.' || copy) IS NULL THEN
    EXECUTE format('CREATE TABLE %I (LIKE fdms_submission_logs INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES,
      CONSTRAINT of_the_month CHECK (at >= %L AND at < %L))', copy, first, beyond);
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', copy);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', copy);
    EXECUTE format('CREATE POLICY owner_only ON %I TO CURRENT_USER USING (true)', copy);
  END IF;
  EXECUTE format('SELECT * FROM %I ORDER BY tenant_id DESC, at DESC, store_id DESC, epoch_no DESC, seq DESC LIMIT 1', copy)
    INTO reached;
  EXECUTE format('INSERT INTO %I SELECT * FROM fdms_submission_logs_default d
      WHERE d.at >= $1 AND d.at < $2 AND ($3 IS NULL OR (d.tenant_id, d.at, d.store_id, d.epoch_no, d.seq) > ($3, $4, $5, $6, $7))
      ORDER BY d.tenant_id, d.at, d.store_id, d.epoch_no, d.seq LIMIT $8', copy)
    USING first, beyond, reached.tenant_id, reached.at, reached.store_id, reached.epoch_no, reached.seq, step;
  GET DIAGNOSTICS copied = ROW_COUNT;
  IF copied >= step THEN
    RETURN false;
  END IF;
  LOCK TABLE fdms_submission_logs_default IN ACCESS EXCLUSIVE MODE;
  -- What has come meanwhile, in front of what was copied already.
  EXECUTE format('INSERT INTO %I SELECT * FROM fdms_submission_logs_default d WHERE d.at >= $1 AND d.at < $2
    ON CONFLICT DO NOTHING', copy) USING first, beyond;
  DELETE FROM fdms_submission_logs_default d WHERE d.at >= first AND d.at < beyond;
  EXECUTE format('DROP POLICY owner_only ON %I', copy);
  EXECUTE format('ALTER TABLE %I RENAME TO %I', copy, name);
  EXECUTE format('ALTER TABLE fdms_submission_logs ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', name, first, beyond);
  EXECUTE format('ALTER TABLE %I DROP CONSTRAINT of_the_month', name);
  RETURN true;
END $$;

REVOKE EXECUTE ON FUNCTION hq_waiting_months(date), hq_move_month(date, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION hq_waiting_months(date), hq_move_month(date, integer) TO fiscal_hq_app;
