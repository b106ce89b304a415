-- Keys of the service may be held elsewhere: in a token, a cloud, behind a program. Such a row names the place, and
-- nothing in it opens anything. A third purpose: signing for one role that its owner gave to the service.

ALTER TABLE online_key
  -- Counts from 1 for each tenant and purpose; it stands in the names of keys that are held elsewhere.
  ADD COLUMN number     integer,
  -- Where the key is held, if it is not sealed here.
  ADD COLUMN uri        text,
  -- Of the key's material: no key is used twice, whatever its spelling.
  ADD COLUMN thumbprint text UNIQUE,
  -- The one role that a managed key signs for, with its leaf and its bins.
  ADD COLUMN role       text COLLATE "C",
  ALTER COLUMN sealed DROP NOT NULL,
  DROP CONSTRAINT online_key_purpose_check;

UPDATE online_key SET number = counted.number
FROM (SELECT tenant_id, purpose, key_id,
             row_number() OVER (PARTITION BY tenant_id, purpose ORDER BY created_at, key_id) AS number
      FROM online_key) AS counted
WHERE (online_key.tenant_id, online_key.purpose, online_key.key_id)
    = (counted.tenant_id, counted.purpose, counted.key_id);

ALTER TABLE online_key
  ALTER COLUMN number SET NOT NULL,
  ADD CHECK (purpose IN ('snapshot', 'timestamp', 'managed')),
  ADD CHECK ((sealed IS NULL) <> (uri IS NULL)),
  ADD CHECK ((purpose = 'managed') = (role IS NOT NULL)),
  ADD UNIQUE (tenant_id, purpose, number);
CREATE UNIQUE INDEX online_key_id ON online_key (key_id);
