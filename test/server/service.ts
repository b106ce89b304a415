/** Starts real services for tests, on the embedded database and on PostgreSQL. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CreatedToken, Problem, Publication, PublicationRequest, Tenant } from '@mandate/api';
import { defaultConfig, startServer, type RunningServer, type ServerConfig } from '@mandate/server';
import { generateSealingKey, parseSealingKeys } from '@mandate/signing';
import { Client as DatabaseClient } from 'pg';
import { needs } from '../support/needs.ts';
import { Owner } from './owner.ts';

export interface Answer<T> {
  readonly status: number;
  readonly headers: Headers;
  readonly body: T;
}

/** A client of the API with one token. */
export class Client {
  readonly url: string;
  readonly token: string;
  /** After which an answer is not waited for any longer. */
  readonly timeoutMs: number | undefined;

  constructor(url: string, token: string, timeoutMs?: number) {
    this.url = url;
    this.token = token;
    this.timeoutMs = timeoutMs;
  }

  async call<T>(method: string, path: string, body?: unknown): Promise<Answer<T>> {
    const response = await fetch(`${this.url}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${this.token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(this.timeoutMs === undefined ? {} : { signal: AbortSignal.timeout(this.timeoutMs) }),
    });
    const text = await response.text();
    return {
      status: response.status,
      headers: response.headers,
      body: (text === '' ? undefined : JSON.parse(text)) as T,
    };
  }

  publish(slug: string, request: PublicationRequest): Promise<Answer<Publication & Problem>> {
    return this.call('POST', `/v1/tenants/${slug}/publications`, request);
  }

  /** Reserves a tenant and publishes its first files. */
  async tenant(
    path: string,
    roles: readonly string[],
  ): Promise<{ owner: Owner; slug: string; first: Publication }> {
    // Some tests look at one tenant alone, without those above it.
    const more = path.includes('/') ? { withoutParent: true } : {};
    const reserved = await this.call<Tenant>('POST', '/v1/tenants', { path, ...more });
    if (reserved.status !== 201) throw new Error(`tenant: ${JSON.stringify(reserved.body)}`);
    const owner = new Owner();
    const first = await this.publish(reserved.body.slug, await owner.first(reserved.body.onlineKeys, roles));
    if (first.status !== 201) throw new Error(`first publication: ${JSON.stringify(first.body)}`);
    return { owner, slug: reserved.body.slug, first: first.body };
  }

  /** Another token, with these grants. */
  async with(grants: CreatedToken['grants'], operator = false): Promise<Client> {
    const created = await this.call<CreatedToken>('POST', '/v1/tokens', { label: 'test', grants, operator });
    if (created.status !== 201) throw new Error(`token: ${JSON.stringify(created.body)}`);
    return new Client(this.url, created.body.token);
  }
}

/** One kind of database. Each `database()` is empty and nobody else's. */
export interface Backend {
  readonly name: string;
  /** Whether several processes can share it. */
  readonly shared: boolean;
  prepare(context: Mocha.Context): void;
  /** Settings that point at a new database, and what removes it. */
  database(): Promise<{ config: Partial<ServerConfig>; drop: () => Promise<void> }>;
}

const embedded: Backend = {
  name: 'PGlite',
  shared: false,
  prepare: () => undefined,
  database: () => {
    const dataFolder = mkdtempSync(join(tmpdir(), 'mandate-server-'));
    return Promise.resolve({
      config: { dataFolder },
      drop: () => Promise.resolve(rmSync(dataFolder, { recursive: true, force: true })),
    });
  },
};

export async function asAdministrator(text: string): Promise<void> {
  const client = new DatabaseClient({ connectionString: process.env['MANDATE_TEST_DATABASE_URL'] });
  await client.connect();
  try {
    await client.query(text);
  } finally {
    await client.end();
  }
}

export const postgres: Backend = {
  name: 'PostgreSQL',
  shared: true,
  prepare: (context) => needs(context, 'postgres'),
  database: async () => {
    const name = `mandate_test_${randomBytes(6).toString('hex')}`;
    const url = new URL(process.env['MANDATE_TEST_DATABASE_URL'] ?? '');
    url.pathname = `/${name}`;
    await asAdministrator(`CREATE DATABASE ${name}`);
    return {
      config: { databaseUrl: url.href, sealingKeys: parseSealingKeys(generateSealingKey()) },
      drop: () => asAdministrator(`DROP DATABASE ${name} WITH (FORCE)`),
    };
  },
};

export const backends: readonly Backend[] = [embedded, postgres];

export function newToken(): string {
  return `mdt_${randomBytes(8).toString('hex')}_${randomBytes(32).toString('base64url')}`;
}

export interface Service {
  readonly server: RunningServer;
  readonly config: ServerConfig;
  readonly operator: Client;
  /** Everything that was logged. */
  readonly log: string[];
}

/** Tests ask as fast as they can. */
const noLimits = { callerRate: 0, addressRate: 0, refusalRate: 0 };

/** A service of this process. */
export async function startService(settings: Partial<ServerConfig>): Promise<Service> {
  const log: string[] = [];
  const operatorToken = newToken();
  const config: ServerConfig = {
    ...defaultConfig,
    port: 0,
    operatorToken,
    openMetrics: true,
    ...noLimits,
    ...settings,
  };
  const server = await startServer(config, { write: (line) => log.push(line) });
  return { server, config, operator: new Client(server.url, config.operatorToken ?? ''), log };
}

/** The same tests on every backend, each with a service of its own. */
export function describeService(
  title: string,
  define: (current: () => Service, backend: Backend) => void,
  settings: Partial<ServerConfig> = {},
): void {
  for (const backend of backends) {
    describe(`${title}, ${backend.name}`, () => {
      let service: Service | undefined;
      let drop: (() => Promise<void>) | undefined;

      before(async function () {
        backend.prepare(this);
        const database = await backend.database();
        drop = database.drop;
        service = await startService({ ...database.config, ...settings });
      });

      after(async () => {
        await service?.server.close();
        await drop?.();
      });

      define(() => service as Service, backend);
    });
  }
}

/** A file as served. */
export async function servedFile(url: string, slug: string, name: string): Promise<Buffer> {
  const response = await fetch(`${url}/tuf/${slug}/metadata/${name}`);
  if (response.status !== 200) throw new Error(`${name}: ${response.status}`);
  return Buffer.from(await response.arrayBuffer());
}
