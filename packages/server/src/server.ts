/** Starts and stops the whole service. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { defaultKeyFolder, openSigner, passphraseFrom, type Signer } from '@mandate/signing';
import { createApp } from './app.ts';
import { answerClientErrors } from './client-error.ts';
import { AuditKey } from './audit-key.ts';
import { Authenticator } from './authenticator.ts';
import type { ServerConfig } from './config.ts';
import { Connections } from './connections.ts';
import { openDataFolder, type DataFolder } from './data-folder.ts';
import { ServerError } from './error.ts';
import { EventFeed } from './event-feed.ts';
import { exampleKeyIds, requireNoExampleKeyInUse } from './example-key.ts';
import { createHandlers } from './handler.ts';
import { IssuedTokenVerifier } from './issued-token.ts';
import { loginsOf } from './issuer.ts';
import { createLogger, describeError, type Logger } from './log.ts';
import { createMetrics } from './metrics.ts';
import { Restoration } from './restoration.ts';
import { RestoreWatch } from './restore-watch.ts';
import { countRestoring } from './sql/restore.ts';
import { WriteGate } from './write-gate.ts';
import { ProposalBook } from './proposal-book.ts';
import { ProposalPlans } from './proposal-plan.ts';
import { ProposalPublisher } from './proposal-publisher.ts';
import { ProposalSweeper } from './proposal-sweeper.ts';
import { ProposalView } from './proposal-view.ts';
import { refuse } from './refusal.ts';
import { RequestLimits } from './request-limit.ts';
import { resealOnlineKeys } from './reseal.ts';
import { RoleFiles } from './role-file.ts';
import { ServiceKeys } from './service-keys.ts';
import { openEmbedded, openPostgres, type Database } from './sql/connection.ts';
import { countOpenProposals } from './sql/proposal-sweep.ts';
import { migrate } from './sql/migration.ts';
import { tenantsNaming } from './sql/publication.ts';
import { countWebhooks } from './sql/webhook.ts';
import { checkSubmission } from './submission.ts';
import { TenantRegistry } from './tenant-registry.ts';
import { createFirstOperator, ensureOperator, TokenReader } from './token.ts';
import { TufAccess } from './tuf-access.ts';
import { createTufHandler } from './tuf-handler.ts';
import { TufStore } from './tuf-store.ts';
import { Upkeep } from './upkeep.ts';
import { serverVersion } from './version.ts';
import { resealWebhookSecrets } from './webhook-secret.ts';

export interface RunningServer {
  /** Where clients reach it. */
  readonly url: string;
  /** Present the first time: the file with the first operator's token. */
  readonly operatorTokenFile: string | undefined;
  /** Lets what is under way end, within the configured time. */
  close(): Promise<void>;
}

const maxHeaderBytes = 16_384;
const maxHeaders = 100;

async function open(
  config: ServerConfig,
  log: Logger,
): Promise<{ database: Database; folder: DataFolder | undefined }> {
  if (config.databaseUrl !== undefined) {
    const options = {
      url: config.databaseUrl,
      poolSize: config.poolSize,
      statementTimeoutMs: config.statementTimeoutMs,
      onError: (error: Error) =>
        log.warn({ error: describeError(error) }, 'an idle database connection broke'),
    };
    return { database: await openPostgres(options, migrate), folder: undefined };
  }
  const folder = openDataFolder(config.dataFolder);
  try {
    return { database: await openEmbedded(folder.databaseFolder, migrate), folder };
  } catch (error) {
    folder.close();
    throw error;
  }
}

/**
 * @throws ServerError CONFIGURATION, DATA_FOLDER_IN_USE, DATABASE_RIGHTS, SCHEMA_TOO_NEW or EXAMPLE_KEY_IN_USE; what the
 * database or the port say.
 */
export async function startServer(
  config: ServerConfig,
  destination: { write(line: string): void } = process.stderr,
): Promise<RunningServer> {
  const log = createLogger(config.logLevel, destination);
  const { database, folder } = await open(config, log);
  try {
    return await run(config, log, database, folder);
  } catch (error) {
    await database.close().catch(() => undefined);
    folder?.close();
    throw error;
  }
}

async function run(
  config: ServerConfig,
  log: Logger,
  database: Database,
  folder: DataFolder | undefined,
): Promise<RunningServer> {
  const sealing = config.sealingKeys ?? folder?.sealingKeys();
  if (sealing === undefined)
    throw new ServerError('CONFIGURATION', 'MANDATE_SEALING_KEY: is needed with DATABASE_URL');
  if (sealing.older.length > 0) {
    const resealed = await resealOnlineKeys(database, sealing);
    const webhooks = await resealWebhookSecrets(database, sealing);
    log.info(
      { keys: resealed, webhooks },
      'online keys and secrets of webhooks sealed with the current sealing key',
    );
  }
  if (config.operatorToken !== undefined) await ensureOperator(database, config.operatorToken, config.now());
  const first = folder && (await createFirstOperator(database, config.now()));
  const operatorTokenFile = first && folder?.writeSecret('operator.token', first.token);

  const { now } = config;
  const auditKey = new AuditKey(database, sealing, heldAuditKey(config));
  const files = new RoleFiles(database, config.cacheBytes);
  const trouble = (kind: string, error: unknown): void => {
    metrics.trouble(kind);
    log.warn({ kind, error: describeError(error) }, 'trouble');
  };
  const store = new TufStore(database, {
    cacheBytes: config.cacheBytes,
    stalenessMs: config.stalenessMs,
    now,
    onTrouble: (error) => trouble('read', error),
  });
  const keys = new ServiceKeys({
    sealing,
    places: config.keyPlaces,
    algorithm: config.keyAlgorithm,
    open: config.keyAccess,
    timeoutMs: config.signerTimeoutMs,
    now,
    onFault: ({ tenant, purpose }, error) => {
      metrics.trouble('signer');
      log.warn({ tenant, role: purpose, error: describeError(error) }, 'a key of the service does not sign');
    },
  });
  const registry = new TenantRegistry(database, keys, files, {
    database,
    files,
    settings: config,
    check: (tenant, member) => checkSubmission(tenant, member, config),
    onTrouble: (_tenant, error) => trouble('publication', error),
    onCommit: (tenant, { next, snapshot }) => {
      for (const file of next.files) store.put(tenant.id, file.role, file.version, file.bytes, file.sha256);
      if (snapshot !== undefined) {
        store.put(tenant.id, 'snapshot', snapshot.version, snapshot.bytes, snapshot.sha256);
      }
      store.advance(
        tenant.slug,
        tenant.id,
        next.head.serial,
        next.head.rootVersion,
        next.head.timestampBytes,
      );
      metrics.group(next.publications.length);
      if (next.publications.length > 0) feed.soon();
    },
  });
  const gate = new WriteGate({ database, stalenessMs: config.stalenessMs, now });
  const restoration = new Restoration({
    database,
    files,
    settings: config,
    now,
    onBegin: () => {
      store.forgetHeads();
      gate.forget();
    },
    onOpen: (tenant, { next: { head } }) =>
      store.advance(tenant.slug, tenant.id, head.serial, head.rootVersion, head.timestampBytes),
  });
  const metrics = createMetrics({
    readOnlyTenants: () => countRestoring(database),
    waiting: () => registry.waiting,
    openProposals: () => countOpenProposals(database),
    webhooks: () => countWebhooks(database),
    feedReaders: () => feed.slots.open,
    roleExpiresSeconds: () => {
      const { soonestExpiryMs } = upkeep;
      return soonestExpiryMs === undefined ? undefined : Math.floor((soonestExpiryMs - now()) / 1000);
    },
    failingKeys: () => keys.failing.map(({ purpose }) => purpose),
  });
  const stopSignal = new AbortController();
  const feed = new EventFeed({
    database,
    sealing,
    config,
    onDelivery: ({ id, slug }, outcome, failure) => {
      metrics.delivery(outcome);
      if (outcome === 'disabled') log.warn({ webhook: id, tenant: slug, failure }, 'a webhook was given up');
    },
    onTrouble: trouble,
  });
  const authenticator = new Authenticator({
    database,
    tokens: new TokenReader(database, now),
    issued: new IssuedTokenVerifier(config.issuers, now),
    now,
  });
  const limits = new RequestLimits(config);
  if (config.production) {
    const examples = config.exampleKeys;
    const naming = await tenantsNaming(database, [...examples, ...exampleKeyIds]);
    await requireNoExampleKeyInUse(registry, naming, examples);
  }
  // Before anything is signed or served.
  const restoreWatch = new RestoreWatch({
    database,
    restoration,
    stateFile: config.stateFile ?? folder?.stateFile,
    config,
    log,
    onTrouble: (error) => trouble('state', error),
  });
  await restoreWatch.start();
  const publicationTimeoutMs = config.requestTimeoutMs / 2;
  const plans = new ProposalPlans(database, config, config.cacheBytes / 4);
  const publisher = new ProposalPublisher({ database, plans, rules: config, publicationTimeoutMs });
  const proposalTrouble = (error: unknown): void => trouble('proposal', error);
  const book = new ProposalBook({ database, plans, publisher, rules: config, onTrouble: proposalTrouble });
  const view = new ProposalView({ database, plans, publisher, rules: config });
  const sweeper = new ProposalSweeper({
    database,
    registry,
    publisher,
    isReadOnly: (slug) => gate.isReadOnly(slug),
    everyMs: config.proposalSweepMs,
    now,
    onTrouble: proposalTrouble,
  });
  const upkeep = new Upkeep({
    database,
    registry,
    auditKey,
    config,
    onExpiryWarning: ({ role: { slug, role, version, expiresMs }, stage }) => {
      metrics.expiryWarning(stage);
      const expires = new Date(expiresMs).toISOString();
      log.warn({ tenant: slug, role, version, expires, stage }, 'a role expires soon');
      feed.soon();
    },
    onPruned: (tenantId, role, version) => store.drop(tenantId, role, version),
    onTrouble: trouble,
  });
  let stopping = false;
  const app = createApp({
    handlers: createHandlers({
      database,
      keys,
      sealing,
      registry,
      files,
      authenticator,
      oidcIssuers: new Set(config.issuers.filter(({ kind }) => kind === 'oidc').map(({ issuer }) => issuer)),
      onVisibility: (slug) => store.forget(slug),
      book,
      view,
      restoration,
      publicationTimeoutMs,
      rules: config,
      now,
      feedReader: feed.reader,
      feedSlots: feed.slots,
      heartbeatMs: config.feedHeartbeatMs,
      stopping: stopSignal.signal,
      sender: feed.sender,
    }),
    onWrite: () => feed.soon(),
    authenticator,
    limits,
    openMetrics: config.openMetrics,
    gate,
    metrics,
    log,
    version: serverVersion,
    basePath: new URL(config.publicUrl ?? 'http://localhost').pathname.replace(/\/+$/, ''),
    hasRegistry: async () => (await store.live('~')) !== undefined,
    logins: loginsOf(config.issuers),
    checkReady: async () => {
      if (stopping) throw new ServerError('UNAVAILABLE', 'the service is stopping');
      return { status: (await countRestoring(database)) > 0 ? 'read-only' : 'ready' };
    },
    failingKeys: () => keys.failing,
  });
  const api = app.callback();
  const tuf = createTufHandler({
    store,
    access: new TufAccess(store, authenticator, limits),
    onRead: (kind, status) => metrics.read(kind, status),
    refuse: (_request, response, error) => {
      refuse(response, error);
      if (response.statusCode >= 500) log.error({ error: describeError(error) }, 'read failed');
    },
    notFound: () => new ServerError('NOT_FOUND', 'there is no such file'),
    readOnly: () =>
      new ServerError(
        'READ_ONLY',
        'the tenant was restored from a backup; its timestamp is served once it is reconciled',
      ),
    methodNotAllowed: () => new ServerError('METHOD_NOT_ALLOWED', 'TUF files are read with GET or HEAD'),
  });
  const server = createServer(
    {
      maxHeaderSize: maxHeaderBytes,
      headersTimeout: config.headersTimeoutMs,
      requestTimeout: config.requestTimeoutMs,
      connectionsCheckingInterval: Math.min(5_000, config.headersTimeoutMs),
      keepAliveTimeout: 65_000,
    },
    (request: IncomingMessage, response: ServerResponse) => {
      if (!tuf(request, response)) void api(request, response);
    },
  );
  server.maxHeadersCount = maxHeaders;
  answerClientErrors(server);
  const connections = new Connections(server);
  await listen(server, config);
  upkeep.start();
  void sweeper.run();
  feed.start();
  const { port } = server.address() as AddressInfo;
  const url =
    config.publicUrl ?? `http://${config.host.includes(':') ? `[${config.host}]` : config.host}:${port}`;
  log.info({ url, embedded: database.embedded }, 'serving');

  return {
    url,
    operatorTokenFile,
    async close() {
      if (stopping) return;
      stopping = true;
      // Whoever waits for events is answered now.
      stopSignal.abort();
      await upkeep.stop();
      await feed.stopSending();
      await restoreWatch.stop();
      await connections.end(config.stopTimeoutMs);
      const idle = sweeper.stop().then(() => registry.idle());
      await Promise.race([idle, sleep(config.stopTimeoutMs, undefined, { ref: false })]);
      await feed.close();
      await auditKey.close();
      store.close();
      keys.close();
      metrics.close();
      await database.close();
      folder?.close();
      log.info('stopped');
    },
  };
}

/** The signer that the configuration names for checkpoints. */
function heldAuditKey({ auditKey, keyEnvironment = {} }: ServerConfig): (() => Promise<Signer>) | undefined {
  if (auditKey === undefined) return undefined;
  const keyFolder = defaultKeyFolder(keyEnvironment);
  return () => openSigner(auditKey, { keyFolder, passphrase: passphraseFrom(keyEnvironment) });
}

async function listen(server: Server, { port, host }: ServerConfig): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
}
