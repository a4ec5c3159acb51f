-- What people look for: receipts by date and by invoice number, those of one fiscal day, the events of one till.

CREATE INDEX receipts_date ON receipts (tenant_id, receipt_date, environment, device_id, receipt_global_no);
CREATE INDEX receipts_invoice ON receipts (tenant_id, invoice_no);
CREATE INDEX receipts_total ON receipts (tenant_id, receipt_total, receipt_date);
CREATE INDEX receipts_day ON receipts (tenant_id, environment, device_id, fiscal_day_no);
CREATE INDEX store_events_till ON store_events (tenant_id, environment, device_id, kind, at);
-- Few of many attempts are not accepted; these are what is looked for.
CREATE INDEX fdms_submission_logs_trouble ON fdms_submission_logs (tenant_id, outcome, at) WHERE outcome <> 'accepted';
