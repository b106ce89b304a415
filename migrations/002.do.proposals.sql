-- Proposals: next versions of files that collect signatures until they go live, or end otherwise.

CREATE TABLE proposal (
  tenant_id      bigint NOT NULL REFERENCES tenant,
  -- Counts from 1 in each tenant, given out under a lock of the tenant's row.
  number         integer NOT NULL,
  -- Over roles and contents, without signatures.
  digest         bytea NOT NULL,
  state          text NOT NULL DEFAULT 'open'
    CHECK (state IN ('open', 'published', 'withdrawn', 'superseded', 'overtaken', 'expired')),
  -- When the signatures here met every threshold. From then on nobody takes the proposal back.
  complete_ms    bigint,
  message        text,
  created_by     text NOT NULL,
  created_ms     bigint NOT NULL,
  expires_ms     bigint NOT NULL,
  -- Of its files and targets.
  bytes          bigint NOT NULL,
  -- Drawn when it is made, and told to nobody before it is live: whoever publishes it, it goes live once.
  publication_id uuid NOT NULL UNIQUE,
  -- Role to version: what the last check was made against. It is checked again when one of these has a successor.
  relied_on      jsonb NOT NULL,
  checked_serial bigint NOT NULL,
  supersedes     integer,
  superseded_by  integer,
  overtaken_by   integer,
  reason         text,
  -- Current versions, for who was overtaken.
  current        jsonb,
  ended_ms       bigint,
  PRIMARY KEY (tenant_id, number),
  CHECK ((state = 'open') = (ended_ms IS NULL))
);
CREATE UNIQUE INDEX proposal_open ON proposal (tenant_id, digest) WHERE state = 'open';
CREATE INDEX proposal_open_expires ON proposal (expires_ms) WHERE state = 'open';

CREATE TABLE proposal_file (
  tenant_id   bigint NOT NULL,
  number      integer NOT NULL,
  position    integer NOT NULL,
  role        text COLLATE "C" NOT NULL,
  version     bigint NOT NULL,
  -- Exactly as it is to be signed.
  signed_text text NOT NULL,
  PRIMARY KEY (tenant_id, number, position),
  UNIQUE (tenant_id, role, version, number),
  FOREIGN KEY (tenant_id, number) REFERENCES proposal
);
ALTER TABLE proposal_file ALTER COLUMN signed_text SET STORAGE EXTERNAL;

CREATE TABLE proposal_target (
  tenant_id bigint NOT NULL,
  number    integer NOT NULL,
  position  integer NOT NULL,
  path      text COLLATE "C" NOT NULL,
  bytes     bytea NOT NULL,
  PRIMARY KEY (tenant_id, number, position),
  FOREIGN KEY (tenant_id, number) REFERENCES proposal
);

-- Each was verified before it got here.
CREATE TABLE proposal_signature (
  tenant_id bigint NOT NULL,
  number    integer NOT NULL,
  role      text COLLATE "C" NOT NULL,
  key_id    text COLLATE "C" NOT NULL,
  sig       bytea NOT NULL,
  added_by  text NOT NULL,
  added_ms  bigint NOT NULL,
  PRIMARY KEY (tenant_id, number, role, key_id),
  FOREIGN KEY (tenant_id, number) REFERENCES proposal
);

-- Append-only: who did what to a proposal. The chained audit has the publications, each with its proposal; it grows
-- with heads only, and most of what happens here comes with none.
CREATE TABLE proposal_event (
  id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  tenant_id bigint NOT NULL,
  number    integer NOT NULL,
  at_ms     bigint NOT NULL,
  action    text NOT NULL,
  -- Token id; null for what the service does by itself.
  actor     text,
  detail    jsonb NOT NULL
);
CREATE INDEX proposal_event_of ON proposal_event (tenant_id, number);
