-- Why a person has blocked a till; last_error is what its store says, and changes with it.
ALTER TABLE fdms_devices ADD COLUMN block_reason text;
