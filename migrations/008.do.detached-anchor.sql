-- Anchors of private tenants, signed apart from targets and snapshot of the tenant above: served to who has a grant on the
-- child, and to nobody else. In a table of their own, so that nothing that lists a tenant's files meets one.
CREATE TABLE detached_anchor (
  -- The tenant above.
  tenant_id bigint NOT NULL REFERENCES tenant,
  -- The child's name there.
  segment   text COLLATE "C" NOT NULL,
  version   bigint NOT NULL,
  at_ms     bigint NOT NULL,
  sha256    bytea NOT NULL,
  -- As it was signed; null once a later version took its place.
  bytes     bytea,
  PRIMARY KEY (tenant_id, segment, version)
);
