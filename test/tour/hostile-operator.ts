/**
 * The operator of a registry as an attacker: everything that the service serves passes through a front of theirs, they hold
 * the registry tenant's keys, and they ask no rule of the service. What they forge of the registry tenant is signed well.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  anchorPath,
  anchorTarget,
  encodeEnvelope,
  formatDate,
  hexOf,
  nextRoot,
  nextVersion,
  parseJson,
  parseRoot,
  parseSnapshot,
  parseTargets,
  parseTimestamp,
  roleFileName,
  servedName,
  sha256Of,
  snapshotEntry,
  snapshotText,
  specVersion,
  timestampText,
  withoutTargets,
  withTargets,
  type Digest,
  type JsonObject,
  type NewTarget,
} from '@mandate/metadata';
import { signMetadata, type Signer } from '@mandate/signing';
import { newKey, signatureOf, type SimKey } from '../support/repository.ts';

const day = 86_400_000;
const folder = '/tuf/~/metadata/';

/** What they say of the tenant `acme`. */
export interface Forgery {
  /** Another tenant's first root under its name; undefined: no anchor any more. */
  readonly root: Uint8Array | undefined;
  readonly metadataUrl: string;
  /** What the registry's own role vouches for. */
  readonly vouches: ReadonlyMap<string, NewTarget>;
}

export class HostileOperator {
  readonly #service: string;
  readonly #server: Server;
  readonly #forged = new Map<string, Uint8Array>();
  readonly #online: SimKey = newKey();
  #round = 0;

  private constructor(service: string) {
    this.#service = service;
    this.#server = createServer((request, response) => void this.#answer(request, response));
  }

  static async start(service: string): Promise<HostileOperator> {
    const operator = new HostileOperator(service);
    await new Promise<void>((resolve) => operator.#server.listen(0, '127.0.0.1', resolve));
    return operator;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  stop(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  async #answer({ url = '' }: IncomingMessage, response: ServerResponse): Promise<void> {
    const forged = this.#forged.get(decodeURIComponent(url));
    if (forged !== undefined) {
      response.writeHead(200).end(forged);
      return;
    }
    const real = await fetch(`${this.#service}${url}`);
    response.writeHead(real.status).end(Buffer.from(await real.arrayBuffer()));
  }

  async #read(name: string): Promise<Uint8Array> {
    const answer = await fetch(`${this.#service}${folder}${encodeURIComponent(name)}`);
    return new Uint8Array(await answer.arrayBuffer());
  }

  #signedOnline(text: string): Uint8Array {
    const signed = parseJson(text).value as JsonObject;
    return encodeEnvelope(signed, [signatureOf(signed, this.#online)]);
  }

  /** Serves a registry tenant that says so, from its next root on. @param key of the registry's root and roles */
  async forge(key: Signer, { root, metadataUrl, vouches }: Forgery): Promise<void> {
    this.#round += 1;
    const expires = Date.now() + day;
    const before = parseRoot(await this.#read('1.root.json'));
    const genesis = before.genesis as Digest;
    const online = { keys: [this.#online.publicKey], threshold: 1 };
    const next = nextRoot(before, { timestamp: online, snapshot: online }, expires);
    const put = (name: string, bytes: Uint8Array): void => void this.#forged.set(`${folder}${name}`, bytes);
    if (this.#round === 1) put('2.root.json', await signMetadata(next, [key]));

    const timestamp = parseTimestamp(await this.#read('timestamp.json'));
    const snapshot = parseSnapshot(await this.#read(servedName('snapshot', timestamp.snapshot.version)));
    const changes = new Map<string, (signed: JsonObject) => JsonObject>([
      ['tenants', (signed) => withAnchor(signed, root, metadataUrl)],
      ['org', (signed) => withTargets(signed, vouches)],
    ]);
    const entries: string[] = [];
    for (const [role, { version, length = 0, hashes }] of snapshot.roles) {
      const change = changes.get(role);
      if (change === undefined) {
        entries.push(snapshotEntry(role, { version, length, sha256: hashes?.sha256 ?? '' }));
        continue;
      }
      const live = parseTargets(await this.#read(servedName(role, version))).envelope.signed;
      const signed = { ...change(nextVersion(live, expires)), version: version + this.#round };
      const bytes = await signMetadata(signed, [key]);
      put(`${version + this.#round}.${roleFileName(role)}`, bytes);
      entries.push(
        snapshotEntry(role, {
          version: version + this.#round,
          length: bytes.length,
          sha256: hexOf(sha256Of(bytes)),
        }),
      );
    }
    const version = Date.now();
    const until = formatDate(expires);
    const shot = this.#signedOnline(snapshotText(entries, version, until, genesis, specVersion));
    put(servedName('snapshot', version), shot);
    const named = { version, length: shot.length, sha256: hexOf(sha256Of(shot)) };
    const issued = formatDate(Date.now());
    put(
      'timestamp.json',
      this.#signedOnline(timestampText(named, version, until, issued, genesis, specVersion)),
    );
  }
}

function withAnchor(signed: JsonObject, root: Uint8Array | undefined, metadataUrl: string): JsonObject {
  const path = anchorPath('acme');
  if (root === undefined) return withoutTargets(signed, new Set([path]));
  const genesis = parseRoot(root).genesis as Digest;
  const anchor = {
    genesis,
    rootVersion: 1,
    rootDigest: sha256Of(root),
    rootLength: root.length,
    metadataUrls: [metadataUrl],
    status: 'active' as const,
  };
  return withTargets(signed, new Map([[path, anchorTarget(anchor)]]));
}
