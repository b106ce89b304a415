-- A process from before migration 003 counts no keys: its inserts are counted here, so that it goes on beside newer ones.

CREATE FUNCTION online_key_count() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  -- One after the other within a tenant: two would get the same number.
  PERFORM FROM tenant WHERE id = NEW.tenant_id FOR NO KEY UPDATE;
  SELECT coalesce(max(number), 0) + 1 INTO NEW.number FROM online_key
  WHERE tenant_id = NEW.tenant_id AND purpose = NEW.purpose;
  RETURN NEW;
END $$;
CREATE TRIGGER online_key_count BEFORE INSERT ON online_key
  FOR EACH ROW WHEN (NEW.number IS NULL) EXECUTE FUNCTION online_key_count();
