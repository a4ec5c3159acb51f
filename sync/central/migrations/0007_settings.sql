-- What head office has set in a store (sync_wire's StoreSettings); what is not in it stands in the store's own file. What
-- holds there is in the store's snapshot (store_cursors.state).
ALTER TABLE stores ADD COLUMN settings jsonb NOT NULL DEFAULT '{}';
