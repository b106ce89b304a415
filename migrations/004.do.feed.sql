-- The change feed, and what is sent from it.

-- Outbox: one row for each change, written by triggers in the transaction of the change, so that neither exists without
-- the other. `id` is drawn behind the locks that order two changes of one thing, so it orders them too; but a row with a
-- lower id may become visible after one with a higher id. The sequencer moves rows from here to `feed_event`.
CREATE TABLE feed_outbox (
  id                bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  tenant_id         bigint NOT NULL,
  type              text NOT NULL,
  at_ms             bigint NOT NULL,
  -- Where the content is; what no table holds is in `detail`.
  publication_id    uuid,
  proposal_event_id bigint,
  detail            jsonb
);

-- Numbers are given out under a lock of the row `feed`, which is held until the commit: whoever sees a number sees every
-- smaller one. A tenant's events have numbers of their own, so that they tell nothing about other tenants.
CREATE TABLE feed_event (
  seq               bigint PRIMARY KEY,
  tenant_id         bigint NOT NULL,
  tenant_seq        bigint NOT NULL,
  type              text NOT NULL,
  at_ms             bigint NOT NULL,
  publication_id    uuid,
  proposal_event_id bigint,
  detail            jsonb,
  UNIQUE (tenant_id, tenant_seq)
);

CREATE TABLE feed (
  one      boolean PRIMARY KEY DEFAULT true CHECK (one),
  -- Part of every cursor: those of another database, or of one put back to an older state, are told apart by it.
  epoch    text NOT NULL,
  last_seq bigint NOT NULL DEFAULT 0
);
INSERT INTO feed (epoch) VALUES (substr(md5(random()::text || clock_timestamp()::text), 1, 8));

CREATE TABLE feed_tenant (
  tenant_id bigint PRIMARY KEY,
  last_seq  bigint NOT NULL
) WITH (fillfactor = 50);

CREATE FUNCTION feed_now_ms() RETURNS bigint LANGUAGE sql
AS $$ SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint $$;

CREATE FUNCTION feed_publications() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO feed_outbox (tenant_id, type, at_ms, publication_id)
  SELECT tenant_id, 'publication', feed_now_ms(), id FROM added;
  RETURN NULL;
END $$;
CREATE TRIGGER feed AFTER INSERT ON publication REFERENCING NEW TABLE AS added
  FOR EACH STATEMENT EXECUTE FUNCTION feed_publications();

CREATE FUNCTION feed_root() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO feed_outbox (tenant_id, type, at_ms, detail)
  VALUES (NEW.tenant_id, 'root.published', feed_now_ms(), jsonb_build_object('version', NEW.version));
  RETURN NULL;
END $$;
CREATE TRIGGER feed_root AFTER INSERT ON metadata_file
  FOR EACH ROW WHEN (NEW.role = 'root') EXECUTE FUNCTION feed_root();

CREATE FUNCTION feed_tenant_created() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO feed_outbox (tenant_id, type, at_ms) VALUES (NEW.id, 'tenant.created', feed_now_ms());
  RETURN NULL;
END $$;
CREATE TRIGGER feed AFTER INSERT ON tenant FOR EACH ROW EXECUTE FUNCTION feed_tenant_created();

CREATE FUNCTION feed_online_key() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO feed_outbox (tenant_id, type, at_ms, detail)
  VALUES (NEW.tenant_id, 'online-key.created', feed_now_ms(),
          jsonb_build_object('purpose', NEW.purpose, 'keyId', NEW.key_id));
  RETURN NULL;
END $$;
CREATE TRIGGER feed AFTER INSERT ON online_key FOR EACH ROW EXECUTE FUNCTION feed_online_key();

CREATE FUNCTION feed_proposal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO feed_outbox (tenant_id, type, at_ms, proposal_event_id)
  SELECT NEW.tenant_id, 'proposal.' || CASE NEW.action WHEN 'propose' THEN 'opened' WHEN 'sign' THEN 'signed'
                                       ELSE NEW.action END, NEW.at_ms, NEW.id;
  RETURN NULL;
END $$;
CREATE TRIGGER feed AFTER INSERT ON proposal_event FOR EACH ROW
  WHEN (NEW.action IN ('propose', 'sign', 'published', 'withdrawn', 'superseded', 'overtaken', 'expired'))
  EXECUTE FUNCTION feed_proposal();

CREATE FUNCTION feed_proposal_complete() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO feed_outbox (tenant_id, type, at_ms, detail)
  VALUES (NEW.tenant_id, 'proposal.completed', NEW.complete_ms, jsonb_build_object('number', NEW.number));
  RETURN NULL;
END $$;
CREATE TRIGGER feed_complete AFTER UPDATE OF complete_ms ON proposal
  FOR EACH ROW WHEN (OLD.complete_ms IS NULL AND NEW.complete_ms IS NOT NULL)
  EXECUTE FUNCTION feed_proposal_complete();

-- The last warning that was given for a role: each stage comes once for each version, whichever process looks.
CREATE TABLE role_expiry_warning (
  tenant_id  bigint NOT NULL REFERENCES tenant,
  role       text COLLATE "C" NOT NULL,
  version    bigint NOT NULL,
  -- Days before the expiry; 0 once it has expired.
  stage_days integer NOT NULL,
  PRIMARY KEY (tenant_id, role)
);

-- Where events are sent. Times in *_ms are those of the service; leases run by the clock of the database.
CREATE TABLE webhook (
  id               text COLLATE "C" PRIMARY KEY,
  -- Null: the operator's, with the events of all tenants.
  tenant_id        bigint REFERENCES tenant,
  url              text NOT NULL,
  -- Types to send; none: all.
  events           text[] NOT NULL,
  -- Sealed as the online keys are.
  secret           bytea NOT NULL,
  -- After a rotation: signs as well, until then.
  old_secret       bytea,
  old_until_ms     bigint,
  -- Number of the last event that is done: a `tenant_seq`, or a `seq` for the operator's.
  cursor           bigint NOT NULL,
  disabled_reason  text,
  attempts         integer NOT NULL DEFAULT 0,
  next_attempt_ms  bigint NOT NULL DEFAULT 0,
  failing_since_ms bigint,
  last_failure     text,
  delivered_ms     bigint,
  -- The fencing token grows with every claim; what an older one reports does not count.
  token            bigint NOT NULL DEFAULT 0,
  leased_until     timestamptz NOT NULL DEFAULT '-infinity',
  created_by       text NOT NULL,
  created_ms       bigint NOT NULL
);
CREATE INDEX webhook_tenant ON webhook (tenant_id);
