/**
 * A whole repository in memory that is a source: a tenant in our profile, or a plain TUF repository. Every `signed` part
 * is a plain object that a test may change in any way before it is signed; every file may be replaced afterwards.
 */
import { generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import type { Source } from '@mandate/client';
import {
  binName,
  encodeEnvelope,
  formatDate,
  hexOf,
  keyIdOf,
  patternsOf,
  parseScope,
  publicKeyFromKeyObject,
  roleFileName,
  scopeOfRole,
  servedName,
  sha256Of,
  signingBytes,
  type Digest,
  type JsonObject,
  type JsonValue,
  type PublicKey,
} from '@mandate/metadata';

export const day = 86_400_000;
/** The clock of a simulated repository, unless a test moves it. */
export const start: number = Date.parse('2027-03-01T12:00:00Z');
export const manifestType = 'application/vnd.oci.image.manifest.v1+json';

type Writable = Record<string, JsonValue>;

export interface SimKey {
  readonly publicKey: PublicKey;
  readonly privateKey: KeyObject;
  /** Under which the key is listed and signs; a test may give another. */
  readonly keyId: string;
}

export function newKey(keyId?: string): SimKey {
  const { privateKey } = generateKeyPairSync('ed25519');
  const publicKey = publicKeyFromKeyObject(privateKey);
  return { publicKey, privateKey, keyId: keyId ?? keyIdOf(publicKey) };
}

export function newKeys(count: number): SimKey[] {
  return Array.from({ length: count }, () => newKey());
}

export function signatureOf(signed: JsonObject, { privateKey, keyId }: SimKey) {
  const digest = privateKey.asymmetricKeyType === 'ed25519' ? null : 'sha256';
  return { keyId: keyId as never, sig: sign(digest, signingBytes(signed), privateKey) };
}

export function signedFile(signed: JsonObject, signers: readonly SimKey[]): Uint8Array {
  return encodeEnvelope(
    signed,
    signers.map((key) => signatureOf(signed, key)),
  );
}

/** `keyids`, `threshold` and `keys` of a role. */
function keysOf(keys: readonly SimKey[]): Writable {
  return Object.fromEntries(keys.map(({ keyId, publicKey }) => [keyId, publicKey.wire]));
}

export interface DelegationOptions {
  readonly keys?: readonly SimKey[];
  readonly threshold?: number;
  readonly paths?: readonly string[];
  readonly hashPrefixes?: readonly string[];
  readonly terminating?: boolean;
}

export interface SimOptions {
  /** Default true. */
  readonly profile?: boolean;
  /** Default true; a tenant of ours has no choice. */
  readonly consistent?: boolean;
  /** Whether snapshot and timestamp list length and hash. Default true. */
  readonly hashes?: boolean;
  readonly rootKeys?: readonly SimKey[];
  readonly rootThreshold?: number;
  /** Of timestamp, snapshot and targets, where they are not to be new. */
  readonly topKeys?: Readonly<Record<string, readonly SimKey[]>>;
  /** Its clock, milliseconds since the epoch. Default {@link start}. */
  readonly now?: number;
}

export class SimRepository implements Source {
  /** What is served, by file name. */
  readonly files = new Map<string, Uint8Array>();
  /** Target files, by the name under which they are served. */
  readonly targets = new Map<string, Uint8Array>();
  /** Every name asked for, in order. */
  readonly requests: string[] = [];
  /** The `signed` part of every role, as last written or as a test left it. */
  readonly content = new Map<string, Writable>();
  /** Who signs each role. */
  readonly signers = new Map<string, readonly SimKey[]>();
  /** Called with each `signed` part before it is signed. */
  beforeSign: (role: string, signed: Writable) => void = () => {};
  /** Called before each answer; may throw, or wait. */
  beforeFetch: (name: string) => Promise<void> | void = () => {};
  now: number;
  readonly #profile: boolean;
  readonly #consistent: boolean;
  readonly #hashes: boolean;
  /** Version, length and hash of every role file written. */
  readonly #meta = new Map<string, Writable>();
  genesis: Digest | undefined;

  constructor(options: SimOptions = {}) {
    this.#profile = options.profile ?? true;
    this.#consistent = options.consistent ?? true;
    this.#hashes = options.hashes ?? true;
    this.now = options.now ?? start;
    this.signers.set('root', options.rootKeys ?? newKeys(1));
    for (const role of ['timestamp', 'snapshot', 'targets'])
      this.signers.set(role, options.topKeys?.[role] ?? newKeys(1));
    const roles = Object.fromEntries(
      [...this.signers].map(([role, keys]) => [
        role,
        {
          keyids: keys.map(({ keyId }) => keyId),
          threshold: role === 'root' ? (options.rootThreshold ?? 1) : 1,
        },
      ]),
    );
    this.content.set('root', {
      _type: 'root',
      consistent_snapshot: this.#consistent,
      expires: this.expiry(365),
      keys: keysOf([...this.signers.values()].flat()),
      roles,
      spec_version: '1.0.34',
      version: 1,
      ...(this.#profile ? { 'x-mandate-profile': 1 } : {}),
    });
    const root = this.writeRoot();
    if (this.#profile) this.genesis = sha256Of(signingBytes(this.content.get('root') as JsonObject));
    if (root.length === 0) throw new TypeError('no root');
    this.addRole('targets');
    this.publish();
  }

  get rootBytes(): Uint8Array {
    return this.files.get('1.root.json') as Uint8Array;
  }

  expiry(days: number): string {
    return formatDate(this.now + days * day);
  }

  #common(): Writable {
    return this.genesis === undefined ? {} : { 'x-mandate-tenant': this.genesis };
  }

  /** An empty version 1 of a targets role. */
  addRole(role: string): void {
    this.content.set(role, {
      _type: 'targets',
      expires: this.expiry(180),
      spec_version: '1.0.34',
      targets: {},
      version: 1,
      ...this.#common(),
      ...(this.#profile ? { 'x-mandate-role': role } : {}),
    });
    this.writeRole(role);
  }

  signed(role: string): Writable {
    const signed = this.content.get(role);
    if (signed === undefined) throw new TypeError(`no role ${role}`);
    return signed;
  }

  /** Changes the next version of a role and writes it; `publish` makes it current. */
  update(role: string, change: (signed: Writable) => void = () => {}): void {
    const signed = this.signed(role);
    signed['version'] = (signed['version'] as number) + 1;
    change(signed);
    if (role === 'root') this.writeRoot();
    else this.writeRole(role);
  }

  sign(role: string, signers: readonly SimKey[] = this.signers.get(role) ?? []): Uint8Array {
    const signed = this.signed(role);
    this.beforeSign(role, signed);
    return signedFile(signed, signers);
  }

  writeRoot(signers?: readonly SimKey[]): Uint8Array {
    const bytes = this.sign('root', signers);
    this.files.set(`${this.signed('root')['version'] as number}.root.json`, bytes);
    return bytes;
  }

  nameOf(role: string, version: number): string {
    return this.#consistent ? servedName(role, version) : roleFileName(role);
  }

  /** Puts a role's file in place and remembers what the next snapshot lists of it. */
  writeRole(role: string, bytes: Uint8Array = this.sign(role)): void {
    const version = this.signed(role)['version'] as number;
    this.files.set(this.nameOf(role, version), bytes);
    this.#meta.set(role, this.metaOf(version, bytes));
  }

  metaOf(version: number, bytes: Uint8Array): Writable {
    return this.#hashes
      ? { hashes: { sha256: hexOf(sha256Of(bytes)) }, length: bytes.length, version }
      : { version };
  }

  /** The role leaves the next snapshot. */
  dropFromSnapshot(role: string): void {
    this.#meta.delete(role);
  }

  writeSnapshot(): void {
    const before = this.content.get('snapshot');
    const signed: Writable = {
      _type: 'snapshot',
      expires: this.expiry(30),
      meta: Object.fromEntries([...this.#meta].map(([role, meta]) => [`${role}.json`, meta])),
      spec_version: '1.0.34',
      version: ((before?.['version'] as number | undefined) ?? 0) + 1,
      ...this.#common(),
    };
    this.content.set('snapshot', signed);
    const bytes = this.sign('snapshot');
    this.files.set(this.nameOf('snapshot', signed['version'] as number), bytes);
    this.#meta.delete('snapshot');
    this.#snapshotMeta = this.metaOf(signed['version'] as number, bytes);
  }

  #snapshotMeta: Writable = {};

  writeTimestamp(): void {
    const before = this.content.get('timestamp');
    const signed: Writable = {
      _type: 'timestamp',
      expires: this.expiry(1),
      meta: { 'snapshot.json': this.#snapshotMeta },
      spec_version: '1.0.34',
      version: ((before?.['version'] as number | undefined) ?? 0) + 1,
      ...this.#common(),
      ...(this.#profile ? { 'x-mandate-issued': formatDate(this.now) } : {}),
    };
    this.content.set('timestamp', signed);
    this.files.set('timestamp.json', this.sign('timestamp'));
  }

  /** A new snapshot and timestamp over everything written. */
  publish(): void {
    this.writeSnapshot();
    this.writeTimestamp();
  }

  /** A new root, signed by the keys before and after. */
  rotate(role: string, keys: readonly SimKey[] = newKeys(1), threshold = 1): void {
    const before = this.signers.get('root') ?? [];
    this.signers.set(role, keys);
    const signed = this.signed('root');
    signed['version'] = (signed['version'] as number) + 1;
    Object.assign(signed, this.#common());
    const roles = signed['roles'] as Record<string, Writable>;
    roles[role] = { keyids: keys.map(({ keyId }) => keyId), threshold };
    signed['keys'] = keysOf(
      ['root', 'timestamp', 'snapshot', 'targets'].flatMap((name) => this.signers.get(name) ?? []),
    );
    const both = new Map([...before, ...(this.signers.get('root') ?? [])].map((key) => [key.keyId, key]));
    this.writeRoot([...both.values()]);
  }

  /**
   * Delegates to a role: in our profile by its name, with the patterns of its scope; else as the options say. The role's
   * first version is written with it.
   */
  delegate(delegator: string, role: string, options: DelegationOptions = {}): void {
    const keys = options.keys ?? newKeys(options.threshold ?? 1);
    this.signers.set(role, keys);
    const scope = scopeOfRole(role);
    const paths = options.paths ?? (scope === undefined ? ['*', '*/*'] : patternsOf(parseScope(scope)));
    const delegation: Writable = {
      keyids: keys.map(({ keyId }) => keyId),
      name: role,
      terminating: options.terminating ?? this.#profile,
      threshold: options.threshold ?? 1,
      ...(options.hashPrefixes === undefined
        ? { paths: [...paths] }
        : { path_hash_prefixes: [...options.hashPrefixes] }),
    };
    this.update(delegator, (signed) => {
      const delegations = (signed['delegations'] ?? { keys: {}, roles: [] }) as Writable;
      signed['delegations'] = {
        keys: { ...(delegations['keys'] as Writable), ...keysOf(keys) },
        roles: [...(delegations['roles'] as JsonValue[]), delegation],
      };
    });
    if (!this.content.has(role)) this.addRole(role);
  }

  /** Splits a role into 2^bitLength bins with its own keys. */
  split(role: string, bitLength: number, threshold = 1): void {
    const keys = this.signers.get(role) ?? [];
    const bins = { bitLength, namePrefix: `bins~${role}` };
    this.update(role, (signed) => {
      signed['targets'] = {};
      signed['delegations'] = {
        keys: keysOf(keys),
        succinct_roles: {
          bit_length: bitLength,
          keyids: keys.map(({ keyId }) => keyId),
          name_prefix: bins.namePrefix,
          threshold,
        },
      };
    });
    for (let i = 0; i < 2 ** bitLength; i += 1) {
      this.signers.set(binName(bins, i), keys);
      this.addRole(binName(bins, i));
    }
  }

  /** Writes a target into the next version of a role. */
  addTarget(role: string, path: string, content: string | Digest = path, custom?: JsonObject): Digest {
    const digest = content.startsWith('sha256:') ? (content as Digest) : sha256Of(content);
    this.update(role, (signed) => {
      const targets = signed['targets'] as Writable;
      targets[path] = {
        custom: custom ?? { mediaType: manifestType },
        hashes: { sha256: hexOf(digest) },
        length: content.length,
      };
    });
    return digest;
  }

  async fetch(name: string, maxBytes: number): Promise<Uint8Array | undefined> {
    this.requests.push(name);
    await this.beforeFetch(name);
    const bytes = this.files.get(name);
    if (bytes !== undefined && bytes.length > maxBytes) {
      const { ClientError } = await import('@mandate/client');
      throw new ClientError('LIMIT_EXCEEDED', 'SIZE', `${name} is too long`);
    }
    return bytes;
  }

  /** The names asked for since the last call. */
  takeRequests(): string[] {
    return this.requests.splice(0);
  }
}

/** A tenant with a repository role and an org role that vouch for something. */
export function newTenant(options: SimOptions = {}): SimRepository {
  const sim = new SimRepository(options);
  sim.delegate('targets', 'distrust');
  sim.delegate('targets', 'reserved');
  sim.delegate('targets', 'repo~team~app');
  sim.delegate('targets', 'org');
  sim.addTarget('repo~team~app', 'team/app/v1', 'image one');
  sim.addTarget('repo~team~app', `team/app/${sha256Of('image one')}`, 'image one');
  sim.addTarget('org', 'other/tool/v1', 'tool');
  sim.publish();
  return sim;
}
