-- A database that was restored from a backup is read-only, tenant by tenant, until what came after the backup is back.

-- Each restore by its label; new tenants and tokens are refused until the newest has ended.
CREATE TABLE restore (
  label    text COLLATE "C" PRIMARY KEY,
  begun_ms bigint NOT NULL,
  ended_ms bigint
);

-- Tenants that are read-only. Their lease is held for ever meanwhile, so that no process signs for them, and their
-- timestamp is not served.
CREATE TABLE restoring (
  tenant_id bigint PRIMARY KEY REFERENCES tenant
);

-- Files that somebody kept, verified as far as one file can be, until their tenant is opened.
CREATE TABLE restore_file (
  tenant_id bigint NOT NULL REFERENCES tenant,
  role      text COLLATE "C" NOT NULL,
  version   bigint NOT NULL,
  sha256    bytea NOT NULL,
  bytes     bytea NOT NULL,
  PRIMARY KEY (tenant_id, role, version, sha256)
);
ALTER TABLE restore_file ALTER COLUMN bytes SET STORAGE EXTERNAL;
CREATE TABLE restore_target (
  tenant_id bigint NOT NULL REFERENCES tenant,
  path      text COLLATE "C" NOT NULL,
  sha256    bytea NOT NULL,
  bytes     bytea NOT NULL,
  PRIMARY KEY (tenant_id, path, sha256)
);

-- Which database this is: kept beside the high-water mark outside it.
CREATE TABLE database_identity (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid()
);
INSERT INTO database_identity DEFAULT VALUES;
