-- A second wall between tenants: the service acts as a role that sees and writes the rows of one tenant at a time, the
-- one that its transaction names in `mandate.tenant`; without a name, none. Row security is not forced on the owner of
-- the tables, so that processes of the version before, which name no tenant, go on beside this one.

-- Roles belong to the whole cluster: another database of it may be making the same one now.
DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'mandate_service') THEN
    CREATE ROLE mandate_service NOLOGIN;
  END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$;

-- Who runs migrations may act as the role where it can give itself that right, or has it already; a login that only runs
-- migrations needs none.
DO $$
BEGIN
  EXECUTE format('GRANT mandate_service TO %I', current_user);
EXCEPTION WHEN OTHERS THEN
  -- 42501: not ours to give; the others: another process gives it at this moment.
  IF SQLSTATE NOT IN ('42501', '23505', 'XX000') THEN RAISE; END IF;
END $$;

-- Null where no tenant is named.
CREATE FUNCTION current_tenant() RETURNS bigint LANGUAGE sql STABLE PARALLEL SAFE
AS $$ SELECT nullif(current_setting('mandate.tenant', true), '')::bigint $$;

DO $$
DECLARE
  -- `tenant` and `webhook` say in another way whose a row is.
  secured text[] := ARRAY[
    'tenant', 'lease', 'proposal', 'proposal_file', 'proposal_target', 'proposal_signature', 'proposal_event',
    'online_key', 'head', 'metadata_file', 'role_delegator', 'snapshot_file', 'target_file', 'publication', 'named_key',
    'audit', 'api_grant', 'oidc_grant', 'webhook', 'role_expiry_warning', 'detached_anchor', 'pruned', 'restoring',
    'restore_file', 'restore_target', 'feed_outbox', 'feed_event', 'feed_tenant', 'audit_event', 'audit_checkpoint',
    'audit_chain'
  ];
  name text;
BEGIN
  -- All tables at once, beside processes that write them in orders of their own: who meets one of those in a circle gives
  -- way, which is this, long before the database looks for deadlocks.
  SET LOCAL lock_timeout = '200ms';
  FOR attempt IN 1..40 LOOP
    BEGIN
      EXECUTE 'LOCK TABLE ' || array_to_string(secured, ', ') || ' IN ACCESS EXCLUSIVE MODE';
      EXIT;
    EXCEPTION WHEN lock_not_available THEN
      IF attempt = 40 THEN RAISE; END IF;
      PERFORM pg_sleep(0.02);
    END;
  END LOOP;
  SET LOCAL lock_timeout = DEFAULT;
  EXECUTE format('GRANT USAGE ON SCHEMA %I TO mandate_service', current_schema());
  FOREACH name IN ARRAY secured LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
    CONTINUE WHEN name IN ('tenant', 'webhook');
    EXECUTE format('CREATE POLICY one_tenant ON %I USING (tenant_id = current_tenant())', name);
  END LOOP;
END $$;
CREATE POLICY one_tenant ON tenant USING (id = current_tenant());
-- The operator's own belong to the deployment, which counts as tenant 0 here as in the audit log.
CREATE POLICY one_tenant ON webhook USING (coalesce(tenant_id, 0) = current_tenant());

-- Bytes that were signed never change: all that is done to them is that pruning drops them.
CREATE POLICY only_dropped ON metadata_file AS RESTRICTIVE FOR UPDATE USING (true) WITH CHECK (bytes IS NULL);
CREATE POLICY only_dropped ON detached_anchor AS RESTRICTIVE FOR UPDATE USING (true) WITH CHECK (bytes IS NULL);

-- What the service does to each table, and no more: no record and no file is changed or removed.
GRANT SELECT ON schema_version, database_identity, feed TO mandate_service;
GRANT SELECT, INSERT ON role_delegator, snapshot_file, target_file, publication, named_key, audit, audit_event,
  audit_checkpoint, proposal_file, proposal_target, proposal_signature TO mandate_service;
GRANT SELECT, INSERT, UPDATE (genesis, visibility) ON tenant TO mandate_service;
GRANT USAGE ON SEQUENCE tenant_id_seq TO mandate_service;
GRANT SELECT, INSERT, UPDATE (sealed) ON online_key TO mandate_service;
GRANT SELECT, INSERT, UPDATE (bytes) ON metadata_file, detached_anchor TO mandate_service;
GRANT SELECT, INSERT, UPDATE (audit_seq) ON proposal_event TO mandate_service;
GRANT SELECT, INSERT, UPDATE ON lease, head, proposal, audit_chain, audit_key, pruned, role_expiry_warning, restore
  TO mandate_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON api_token, api_grant, oidc_grant, webhook TO mandate_service;
GRANT INSERT ON feed_outbox TO mandate_service;
GRANT SELECT ON feed_event, feed_tenant TO mandate_service;
GRANT SELECT, DELETE ON restoring TO mandate_service;
GRANT SELECT, INSERT, DELETE ON restore_file, restore_target TO mandate_service;

-- What has to look over all tenants: each of these for one purpose, with the rights of the owner. Their names begin with
-- `across_`; docs/operations.md lists them. They find tables in the schema that this migration ran in, and nowhere else.
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

-- By their names.

CREATE FUNCTION across_tenant(wanted text)
RETURNS TABLE (id bigint, slug text, path text, genesis text, visibility text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
  SELECT id, slug, path, genesis, visibility FROM tenant WHERE slug = wanted
$$;

-- The index of public tenants alone answers it.
CREATE FUNCTION across_public_tenant(wanted text) RETURNS TABLE (id bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
  SELECT id FROM tenant WHERE slug = wanted AND visibility = 'public'
$$;

-- Null for both: every tenant, for operators.
CREATE FUNCTION across_tenants(slugs text[], prefixes text[])
RETURNS TABLE (id bigint, slug text, path text, genesis text, visibility text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
  SELECT id, slug, path, genesis, visibility FROM tenant
  WHERE slugs IS NULL OR slug = ANY(slugs)
     OR EXISTS (SELECT 1 FROM unnest(prefixes) AS above (prefix) WHERE starts_with(slug, prefix))
  ORDER BY slug
$$;

CREATE FUNCTION across_slugs(slugs text[]) RETURNS TABLE (slug text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
  SELECT slug FROM tenant WHERE slug = ANY(slugs)
$$;

-- Held, so that none of them becomes private meanwhile.
CREATE FUNCTION across_hold_above(slugs text[]) RETURNS TABLE (path text, visibility text)
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path FROM CURRENT AS $$
  SELECT path, visibility FROM tenant WHERE slug = ANY(slugs) ORDER BY slug FOR SHARE
$$;

CREATE FUNCTION across_public_below(prefix text) RETURNS TABLE (path text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
  SELECT path FROM tenant WHERE starts_with(slug, prefix) AND visibility = 'public' ORDER BY slug LIMIT 1
$$;

-- By ids that somebody has.

CREATE FUNCTION across_publications(ids uuid[])
RETURNS TABLE (id uuid, tenant_id bigint, slug text, digest bytea, snapshot_version bigint, timestamp_version bigint,
               versions jsonb)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
  SELECT p.id, tenant_id, slug, digest, snapshot_version, timestamp_version, versions
  FROM publication p JOIN tenant ON tenant.id = tenant_id WHERE p.id = ANY(ids)
$$;

CREATE FUNCTION across_token_grants(token text) RETURNS TABLE (tenant_id bigint, slug text, level text, inherit boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
  SELECT tenant_id, slug, level, inherit FROM api_grant JOIN tenant ON tenant.id = tenant_id WHERE token_id = token
$$;

CREATE FUNCTION across_oidc_rules(of_issuer text, exact_keys text[])
RETURNS TABLE (slug text, level text, inherit boolean, issuer text, subject text, claims jsonb)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
  SELECT slug, level, inherit, issuer, subject, claims FROM oidc_grant JOIN tenant ON tenant.id = tenant_id
  WHERE issuer = of_issuer AND (exact IS NULL OR exact = ANY(exact_keys))
$$;

CREATE FUNCTION across_held_keys(key_ids text[])
RETURNS TABLE (tenant_id bigint, purpose text, key_id text, role text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
  SELECT tenant_id, purpose, key_id, role FROM online_key WHERE key_id = ANY(key_ids)
$$;

CREATE FUNCTION across_naming(keys text[]) RETURNS TABLE (slug text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
  SELECT DISTINCT slug FROM named_key JOIN tenant ON tenant.id = tenant_id WHERE key_id = ANY(keys)
$$;

-- Public halves, for lists of tenants.
CREATE FUNCTION across_online_keys(tenants bigint[])
RETURNS TABLE (tenant_id bigint, purpose text, key_id text, wire jsonb)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
  SELECT DISTINCT ON (tenant_id, purpose) tenant_id, purpose, key_id, wire FROM online_key
  WHERE tenant_id = ANY(tenants) AND purpose <> 'managed' ORDER BY tenant_id, purpose, number DESC
$$;

CREATE FUNCTION across_changed(tenants bigint[], serials bigint[], privates boolean[])
RETURNS TABLE (tenant_id bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
  SELECT tenant_id FROM head
  JOIN unnest(tenants, serials, privates) AS known (id, serial, private) ON known.id = tenant_id
  JOIN tenant ON tenant.id = tenant_id
  WHERE head.serial <> known.serial OR (visibility = 'private') <> known.private
$$;

-- What is to be done, and where.

CREATE FUNCTION across_due(now_ms bigint, most bigint, without bigint[]) RETURNS TABLE (tenant_id bigint, slug text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
  SELECT tenant_id, slug FROM head JOIN tenant ON tenant.id = tenant_id
  WHERE due_ms <= now_ms AND tenant_id <> ALL(without)
    AND NOT EXISTS (SELECT 1 FROM restoring r WHERE r.tenant_id = head.tenant_id)
  ORDER BY due_ms LIMIT most
$$;

-- Records, or events that wait, which no checkpoint covers.
CREATE FUNCTION across_unsigned(after bigint, most bigint) RETURNS TABLE (tenant_id bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
  SELECT c.tenant_id FROM audit_chain c LEFT JOIN head h ON h.tenant_id = c.tenant_id
  WHERE c.tenant_id > after
    AND (c.seq > c.signed_administration OR coalesce(h.audit_seq, 0) > c.signed_publications
         OR EXISTS (SELECT 1 FROM proposal_event e WHERE e.tenant_id = c.tenant_id AND e.audit_seq IS NULL))
  ORDER BY c.tenant_id LIMIT most
$$;

-- Events of proposals that are in no chain yet, longest waiting first.
CREATE FUNCTION across_waiting_events(most bigint) RETURNS TABLE (tenant_id bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
  SELECT tenant_id FROM proposal_event WHERE audit_seq IS NULL GROUP BY tenant_id ORDER BY min(id) LIMIT most
$$;

-- Something went live before the cutoff that pruning has not passed yet.
CREATE FUNCTION across_prunable(cutoff_ms bigint, after bigint, most bigint) RETURNS TABLE (tenant_id bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
  SELECT h.tenant_id FROM head h LEFT JOIN pruned p ON p.tenant_id = h.tenant_id
  WHERE h.tenant_id > after AND EXISTS (
    SELECT 1 FROM (SELECT at_ms FROM metadata_file m
                   WHERE m.tenant_id = h.tenant_id AND m.serial > coalesce(p.serial, 0)
                   ORDER BY m.serial LIMIT 1) AS next WHERE next.at_ms < cutoff_ms)
  ORDER BY h.tenant_id LIMIT most
$$;

-- Of each tenant the live role that expires first, and every other one that expires soon. The cost is that of the roles,
-- not of all their versions.
CREATE FUNCTION across_expiring(after bigint, until_ms bigint, tenants bigint)
RETURNS TABLE (tenant_id bigint, slug text, role text, version bigint, expires_ms bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
  SELECT h.tenant_id, slug, soon.role, soon.version, soon.expires_ms
  FROM (SELECT tenant_id FROM head WHERE tenant_id > after ORDER BY tenant_id LIMIT tenants) AS h
  JOIN tenant ON tenant.id = h.tenant_id
  CROSS JOIN LATERAL (
    WITH RECURSIVE newest AS (
      (SELECT role, version, expires_ms FROM metadata_file
       WHERE tenant_id = h.tenant_id ORDER BY role DESC, version DESC LIMIT 1)
      UNION ALL
      SELECT next.* FROM newest, LATERAL (
        SELECT role, version, expires_ms FROM metadata_file
        WHERE tenant_id = h.tenant_id AND role < newest.role
        ORDER BY role DESC, version DESC LIMIT 1) AS next
    ), live AS (
      SELECT *, row_number() OVER (ORDER BY expires_ms, role) AS place FROM newest
      WHERE role = 'root' OR (SELECT delegator FROM role_delegator d
                              WHERE d.tenant_id = h.tenant_id AND d.role = newest.role
                              ORDER BY d.serial DESC LIMIT 1) IS NOT NULL
    )
    SELECT * FROM live WHERE place = 1 OR expires_ms <= until_ms
  ) AS soon
  ORDER BY h.tenant_id, soon.place
$$;

-- Proposals whose time is over.
CREATE FUNCTION across_expired_proposals(now_ms bigint) RETURNS TABLE (tenant_id bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
  SELECT DISTINCT tenant_id FROM proposal WHERE state = 'open' AND complete_ms IS NULL AND expires_ms <= now_ms
$$;

CREATE FUNCTION across_complete_proposals(since_ms bigint, most bigint) RETURNS TABLE (slug text, number integer)
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path FROM CURRENT AS $$
  SELECT slug, number FROM proposal JOIN tenant ON tenant.id = tenant_id
  WHERE state = 'open' AND complete_ms <= since_ms ORDER BY random() LIMIT most
$$;

-- Those whose last check relied on a version that has a successor now: as far as the caller sees.
CREATE FUNCTION moved_proposals(most bigint) RETURNS TABLE (slug text, number integer)
LANGUAGE sql VOLATILE AS $$
  SELECT slug, number FROM proposal p
  JOIN tenant ON tenant.id = p.tenant_id
  JOIN head ON head.tenant_id = p.tenant_id AND head.serial > p.checked_serial
  WHERE p.state = 'open'
    AND EXISTS (SELECT 1 FROM jsonb_each_text(p.relied_on) AS r
                JOIN metadata_file m ON m.tenant_id = p.tenant_id AND m.role = r.key AND m.version = r.value::bigint + 1)
  ORDER BY random() LIMIT most
$$;

CREATE FUNCTION across_moved_proposals(most bigint) RETURNS TABLE (slug text, number integer)
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path FROM CURRENT AS $$
  SELECT slug, number FROM moved_proposals(most)
$$;

-- Numbers for the metrics.

CREATE FUNCTION across_open_proposals() RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
  SELECT count(*) FROM proposal WHERE state = 'open'
$$;

CREATE FUNCTION across_webhook_counts() RETURNS TABLE (active bigint, failing bigint, disabled bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
  SELECT count(*) FILTER (WHERE disabled_reason IS NULL AND failing_since_ms IS NULL),
         count(*) FILTER (WHERE disabled_reason IS NULL AND failing_since_ms IS NOT NULL),
         count(*) FILTER (WHERE disabled_reason IS NOT NULL) FROM webhook
$$;

-- The newest timestamp version of all: it grows with every write to any tenant.
CREATE FUNCTION across_high_water() RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
  SELECT coalesce(max(timestamp_version), 0) FROM head
$$;

-- The feed.

CREATE FUNCTION across_events_waiting() RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
  SELECT EXISTS (SELECT 1 FROM feed_outbox)
$$;

-- Gives numbers to events whose changes were committed. One process at a time: the row lock is held until the commit, and
-- the second statement sees everything that was committed when it got the lock. No row where nothing waited.
CREATE FUNCTION across_sequence_events(most bigint) RETURNS TABLE (last bigint, tenants bigint[])
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path FROM CURRENT AS $$
#variable_conflict use_column
DECLARE
  before bigint;
BEGIN
  SELECT last_seq INTO before FROM feed FOR UPDATE;
  RETURN QUERY
  WITH taken AS (
    DELETE FROM feed_outbox WHERE id = ANY (ARRAY(SELECT id FROM feed_outbox ORDER BY id LIMIT most)) RETURNING *
  ), counted AS (
    SELECT tenant_id, count(*) AS count FROM taken GROUP BY tenant_id
  ), numbered AS (
    INSERT INTO feed_tenant AS t (tenant_id, last_seq) SELECT tenant_id, count FROM counted
    ON CONFLICT (tenant_id) DO UPDATE SET last_seq = t.last_seq + excluded.last_seq
    RETURNING tenant_id, last_seq
  ), events AS (
    INSERT INTO feed_event (seq, tenant_id, tenant_seq, type, at_ms, publication_id, proposal_event_id, detail)
    SELECT before + row_number() OVER (ORDER BY id), tenant_id,
           last_seq - count + row_number() OVER (PARTITION BY tenant_id ORDER BY id),
           type, at_ms, publication_id, proposal_event_id, detail
    FROM taken JOIN counted USING (tenant_id) JOIN numbered USING (tenant_id)
  )
  UPDATE feed SET last_seq = before + (SELECT count(*) FROM taken)
  WHERE EXISTS (SELECT 1 FROM taken)
  RETURNING last_seq, (SELECT array_agg(tenant_id) FROM counted);
END $$;

-- Whose the next events are, for the feed of all tenants: each event is read with its tenant named.
CREATE FUNCTION across_feed_page(after bigint, most bigint) RETURNS TABLE (seq bigint, tenant_id bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
  SELECT seq, tenant_id FROM feed_event WHERE seq > after ORDER BY seq LIMIT most
$$;

-- Forgets the oldest events, up to the first one that is not older than that: what is kept has no gap.
CREATE FUNCTION across_forget_events(before_ms bigint, most bigint) RETURNS bigint
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path FROM CURRENT AS $$
  WITH oldest AS (SELECT seq, at_ms FROM feed_event ORDER BY seq LIMIT most), gone AS (
    DELETE FROM feed_event WHERE seq IN (
      SELECT seq FROM oldest
      WHERE seq < coalesce((SELECT min(seq) FROM oldest WHERE at_ms >= before_ms), 9223372036854775807))
    RETURNING 1
  )
  SELECT count(*) FROM gone
$$;

-- Takes webhooks that have events to send and that nobody sends to now: the lease is written, the rest is read with the
-- tenant named.
CREATE FUNCTION across_claim_webhooks(now_ms bigint, lease_ms bigint, most bigint)
RETURNS TABLE (id text, tenant_id bigint)
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path FROM CURRENT AS $$
  UPDATE webhook w SET token = w.token + 1, leased_until = clock_timestamp() + lease_ms * interval '1 millisecond'
  FROM (
    SELECT due.id FROM webhook due CROSS JOIN feed LEFT JOIN feed_tenant f ON f.tenant_id = due.tenant_id
    WHERE due.disabled_reason IS NULL AND due.next_attempt_ms <= now_ms AND due.leased_until <= clock_timestamp()
      AND due.cursor < CASE WHEN due.tenant_id IS NULL THEN feed.last_seq ELSE f.last_seq END
    ORDER BY due.next_attempt_ms, due.id LIMIT most FOR UPDATE OF due SKIP LOCKED
  ) AS due
  WHERE w.id = due.id RETURNING w.id, w.tenant_id
$$;

-- A restored database.

-- Makes every tenant read-only: nobody gets its lease any more, and a leader at work loses it.
CREATE FUNCTION across_begin_restore(nobody uuid) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path FROM CURRENT AS $$
  INSERT INTO restoring (tenant_id) SELECT id FROM tenant ON CONFLICT DO NOTHING;
  -- Leases first, as a commit takes them. A new serial tells every process to look again.
  UPDATE lease SET token = token + 1, holder = nobody, wanted_by = NULL, expires_at = 'infinity',
    serial = CASE WHEN serial = 0 THEN 0 ELSE serial + 1 END;
  UPDATE head SET serial = serial + 1;
  -- Numbers of the feed come again for other events: cursors given out since the backup are refused.
  UPDATE feed SET epoch = substr(md5(random()::text || clock_timestamp()::text), 1, 8);
$$;

CREATE FUNCTION across_restoring(after text, most bigint) RETURNS TABLE (slug text, path text, genesis text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
  SELECT slug, path, genesis FROM restoring JOIN tenant ON id = tenant_id
  WHERE slug > after COLLATE "C" ORDER BY slug LIMIT most
$$;

CREATE FUNCTION across_restoring_count() RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
  SELECT count(*) FROM restoring
$$;

CREATE FUNCTION across_is_restoring(wanted text) RETURNS TABLE (any_tenant boolean, this_tenant boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
  SELECT EXISTS (SELECT 1 FROM restoring),
         EXISTS (SELECT 1 FROM restoring JOIN tenant ON id = tenant_id WHERE slug = wanted)
$$;

DO $$
DECLARE
  called text;
BEGIN
  FOR called IN
    SELECT oid::regprocedure FROM pg_proc
    WHERE pronamespace = current_schema()::regnamespace AND proname LIKE 'across\_%'
  LOOP
    EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', called);
    EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO mandate_service', called);
  END LOOP;
END $$;
