-- Who may do what: private tenants, grants that are inherited, grants to tokens of OIDC issuers.

ALTER TABLE tenant ADD COLUMN visibility text NOT NULL DEFAULT 'public' CHECK (visibility IN ('public', 'private'));
-- A reader without a grant is looked up here, where private tenants are not: the same work as for a name that is not there.
CREATE UNIQUE INDEX tenant_public ON tenant (slug) WHERE visibility = 'public';

ALTER TABLE api_grant
  ADD COLUMN id         uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE,
  -- Holds for every tenant below, too.
  ADD COLUMN inherit    boolean NOT NULL DEFAULT false,
  -- The principal; null for what came with the tenant or the token.
  ADD COLUMN created_by text,
  ADD COLUMN created_at timestamptz NOT NULL DEFAULT now();
CREATE INDEX api_grant_tenant ON api_grant (tenant_id);

-- For whoever holds a token of this issuer that fits.
CREATE TABLE oidc_grant (
  id         uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  tenant_id  bigint NOT NULL REFERENCES tenant,
  level      text NOT NULL CHECK (level IN ('owner', 'publisher', 'reader')),
  inherit    boolean NOT NULL,
  issuer     text COLLATE "C" NOT NULL,
  -- Null: any, as long as the claims fit. A value that ends in * is a beginning.
  subject    text COLLATE "C",
  claims     jsonb NOT NULL,
  -- What a token has to have exactly, as far as one value can say it: finds the rules that may fit. Null where no value is exact.
  exact      text COLLATE "C",
  -- Of issuer, subject and claims: one grant for each rule.
  digest     bytea NOT NULL,
  created_by text,
  created_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (tenant_id, digest)
);
CREATE INDEX oidc_grant_exact ON oidc_grant (issuer, exact);
