-- What the service keeps. Bytes that were signed are stored as they are and never change; everything else follows from
-- them or is bookkeeping. Times in *_ms columns are milliseconds since the epoch.

CREATE TABLE tenant (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  slug       text COLLATE "C" NOT NULL UNIQUE,
  path       text COLLATE "C" NOT NULL,
  -- Digest of root version 1; null while the tenant is only reserved.
  genesis    text,
  created_at timestamptz NOT NULL DEFAULT now()
);

-- The private halves are sealed with a key that is not in the database.
CREATE TABLE online_key (
  tenant_id  bigint NOT NULL REFERENCES tenant,
  purpose    text NOT NULL CHECK (purpose IN ('snapshot', 'timestamp')),
  key_id     text NOT NULL,
  wire       jsonb NOT NULL,
  sealed     bytea NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, purpose, key_id)
);

-- Who may write the next head of a tenant. `token` is the fencing token: it grows with every change of holder, and a
-- commit by an older token does nothing. `serial` is that of the head, here so that one row locks both.
CREATE TABLE lease (
  tenant_id  bigint PRIMARY KEY REFERENCES tenant,
  holder     uuid,
  token      bigint NOT NULL DEFAULT 0,
  expires_at timestamptz NOT NULL DEFAULT '-infinity',
  -- The process that is next: the holder hands over to it after its current group.
  wanted_by  uuid,
  serial     bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

-- What is live. One row for each tenant that has been published.
CREATE TABLE head (
  tenant_id         bigint PRIMARY KEY REFERENCES tenant,
  -- Counts heads: one for each group of publications or renewal.
  serial            bigint NOT NULL,
  root_version      bigint NOT NULL,
  snapshot_version  bigint NOT NULL,
  snapshot_expires_ms  bigint NOT NULL,
  timestamp_version bigint NOT NULL,
  timestamp_expires_ms bigint NOT NULL,
  timestamp_issued_ms  bigint NOT NULL,
  timestamp_bytes   bytea NOT NULL,
  -- When the timestamp has to be issued again.
  due_ms            bigint NOT NULL,
  audit_seq         bigint NOT NULL,
  audit_hash        bytea NOT NULL
) WITH (fillfactor = 50);

-- Root, targets and delegated roles. The primary key is the rule "same version, different bytes: never".
CREATE TABLE metadata_file (
  tenant_id  bigint NOT NULL,
  role       text COLLATE "C" NOT NULL,
  version    bigint NOT NULL,
  -- The head with which it went live.
  serial     bigint NOT NULL,
  length     integer NOT NULL,
  sha256     bytea NOT NULL,
  expires_ms bigint NOT NULL,
  -- Null when it was superseded long ago and only its digest is kept.
  bytes      bytea,
  PRIMARY KEY (tenant_id, role, version)
);
-- Signed files hardly compress next to what compressing costs here; responses are compressed once, in the cache.
ALTER TABLE metadata_file ALTER COLUMN bytes SET STORAGE EXTERNAL;
CREATE INDEX metadata_file_serial ON metadata_file (tenant_id, serial);

-- Who delegates to a role, from a head on; null once nobody does. A row only where that changed.
CREATE TABLE role_delegator (
  tenant_id bigint NOT NULL,
  role      text COLLATE "C" NOT NULL,
  serial    bigint NOT NULL,
  delegator text COLLATE "C",
  PRIMARY KEY (tenant_id, role, serial)
);

-- A snapshot is its opening, one fragment for each role file that was live at `serial`, and its closing. It is put
-- together from these and must then have this digest; so its size does not grow the log of every publication.
CREATE TABLE snapshot_file (
  tenant_id bigint NOT NULL,
  version   bigint NOT NULL,
  serial    bigint NOT NULL,
  length    integer NOT NULL,
  sha256    bytea NOT NULL,
  opening   text NOT NULL,
  closing   text NOT NULL,
  PRIMARY KEY (tenant_id, version)
);

-- Files that a role of the tenant lists and the service stores: policies, anchored roots.
CREATE TABLE target_file (
  tenant_id bigint NOT NULL,
  path      text COLLATE "C" NOT NULL,
  sha256    bytea NOT NULL,
  bytes     bytea NOT NULL,
  PRIMARY KEY (tenant_id, path, sha256)
);

CREATE TABLE publication (
  id                uuid PRIMARY KEY,
  tenant_id         bigint NOT NULL,
  -- Of what was submitted: the same id with the same digest is the same publication.
  digest            bytea NOT NULL,
  serial            bigint NOT NULL,
  snapshot_version  bigint NOT NULL,
  timestamp_version bigint NOT NULL,
  versions          jsonb NOT NULL
);

-- Keys that some root or delegation of a tenant has ever named: finds tenants to look at closer.
CREATE TABLE named_key (
  key_id    text COLLATE "C" NOT NULL,
  tenant_id bigint NOT NULL,
  PRIMARY KEY (key_id, tenant_id)
);

-- Append-only; `hash` is SHA-256 over the hash before it and `record`, for each tenant from 32 zero bytes on.
CREATE TABLE audit (
  tenant_id bigint NOT NULL,
  seq       bigint NOT NULL,
  at_ms     bigint NOT NULL,
  record    text NOT NULL,
  hash      bytea NOT NULL,
  PRIMARY KEY (tenant_id, seq)
);

CREATE TABLE api_token (
  id         text COLLATE "C" PRIMARY KEY,
  -- SHA-256 of the secret, which has 256 random bits.
  hash       bytea NOT NULL,
  label      text NOT NULL,
  operator   boolean NOT NULL,
  created_by text,
  created_at timestamptz NOT NULL DEFAULT now(),
  expires_ms bigint
);

CREATE TABLE api_grant (
  token_id  text COLLATE "C" NOT NULL REFERENCES api_token ON DELETE CASCADE,
  tenant_id bigint NOT NULL REFERENCES tenant,
  level     text NOT NULL CHECK (level IN ('owner', 'publisher', 'reader')),
  PRIMARY KEY (token_id, tenant_id)
);
