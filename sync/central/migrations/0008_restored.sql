-- A store that follows decisions which this database does not know, because it was put back from a backup. The store puts
-- only a higher revision into effect, so what it is sent is the tenant's revision and this much more; and the tenant's
-- revision at which that was found, for as long as nothing new is decided.
ALTER TABLE store_cursors ADD COLUMN revision_ahead bigint NOT NULL DEFAULT 0;
ALTER TABLE store_cursors ADD COLUMN ahead_since bigint;

-- Rises with each change of a store's settings: who sets them may say which ones he has seen. And the tenant's revision
-- with which the last change went out.
ALTER TABLE stores ADD COLUMN settings_version bigint NOT NULL DEFAULT 0;
ALTER TABLE stores ADD COLUMN settings_revision bigint NOT NULL DEFAULT 0;
