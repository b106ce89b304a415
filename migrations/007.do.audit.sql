-- The second chain of a tenant's audit log: everything but publications. Tenant 0 is the deployment itself. Publications
-- keep their chain in `audit` and `head`, which the tenant's leader alone writes; nothing here ever makes it wait.

CREATE TABLE audit_chain (
  tenant_id bigint PRIMARY KEY,
  -- The newest record; its row is locked by whoever appends, as the last lock of the transaction.
  seq       bigint NOT NULL,
  hash      bytea NOT NULL,
  -- What the newest checkpoint covers of this chain and of that of publications.
  signed_administration bigint NOT NULL DEFAULT 0,
  signed_publications   bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
INSERT INTO audit_chain (tenant_id, seq, hash) SELECT id, 0, decode(repeat('00', 32), 'hex') FROM tenant;

-- Append-only, chained as `audit` is.
CREATE TABLE audit_event (
  tenant_id bigint NOT NULL,
  seq       bigint NOT NULL,
  at_ms     bigint NOT NULL,
  record    text NOT NULL,
  hash      bytea NOT NULL,
  PRIMARY KEY (tenant_id, seq)
);

-- Events of proposals wait here for the chain: null until they are in it, at the latest with the next checkpoint.
ALTER TABLE proposal_event ADD COLUMN audit_seq bigint;
CREATE INDEX proposal_event_waiting ON proposal_event (tenant_id, id) WHERE audit_seq IS NULL;

-- The key that signs checkpoints, and those before it. Sealed, unless it is held outside the service.
CREATE TABLE audit_key (
  key_id     text COLLATE "C" PRIMARY KEY,
  wire       jsonb NOT NULL,
  sealed     bytea,
  created_at timestamptz NOT NULL DEFAULT now()
);

-- Signed statements of where both chains stood.
CREATE TABLE audit_checkpoint (
  tenant_id      bigint NOT NULL,
  publications   bigint NOT NULL,
  administration bigint NOT NULL,
  at_ms          bigint NOT NULL,
  -- The DSSE envelope.
  envelope       text NOT NULL,
  PRIMARY KEY (tenant_id, publications, administration)
);

-- When a file went live, and with which publication. Rows from before have the time of this migration.
ALTER TABLE metadata_file ADD COLUMN at_ms bigint NOT NULL DEFAULT (extract(epoch FROM now()) * 1000)::bigint;
ALTER TABLE metadata_file ADD COLUMN publication_id uuid;

-- Up to which head the files that were superseded have lost their bytes.
CREATE TABLE pruned (
  tenant_id bigint PRIMARY KEY REFERENCES tenant,
  serial    bigint NOT NULL
);
