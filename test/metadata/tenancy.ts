/**
 * A tenant on the side of its service, in memory: takes publications by the rules, keeps what is live, and serves it with
 * snapshot and timestamp; and its owner, who keeps the `signed` part of every role and signs with one key each.
 */
import {
  binName,
  checkPublication,
  encodeEnvelopeText,
  emptyRole,
  firstRoot,
  formatDate,
  hexOf,
  nextRoot,
  nextVersion,
  parseRoot,
  servedName,
  sha256Of,
  snapshotEntry,
  snapshotText,
  specVersion,
  timestampText,
  withBins,
  withDelegation,
  type AcceptedPublication,
  type CurrentRole,
  type CurrentTenant,
  type Digest,
  type JsonObject,
  type NewTarget,
  type Root,
  type RootRoles,
  type SubmittedFile,
} from '@mandate/metadata';
import { signFile, testKey, type TestKey } from './test-key.ts';

export const day = 86_400_000;
export const start: number = Date.parse('2030-01-01T00:00:00Z');

export function roleKeys(keys: readonly TestKey[], threshold = 1) {
  return { keys: keys.map(({ publicKey }) => publicKey), threshold };
}

export function target(text: string): NewTarget {
  return { length: text.length, digest: sha256Of(text) };
}

/** The online files of these roles, signed by the keys called `snapshot` and `timestamp`. */
export class Tenancy {
  root: Root | undefined;
  readonly rootFiles = new Map<number, Uint8Array>();
  readonly roles = new Map<string, CurrentRole>();
  /** Everything served, by name. */
  readonly files = new Map<string, Uint8Array>();
  now = start;
  #onlineVersion = 0;

  get genesis(): Digest {
    if (this.root?.genesis === undefined) throw new TypeError('no root yet');
    return this.root.genesis;
  }

  /** As the rules see it; `asked` hears every role that they look at. */
  current(asked: (role: string) => void = () => {}): CurrentTenant {
    return {
      root: this.root,
      roleCount: this.roles.size,
      role: (name) => {
        asked(name);
        return Promise.resolve(this.roles.get(name));
      },
    };
  }

  check(files: readonly SubmittedFile[]): Promise<AcceptedPublication> {
    return checkPublication(files, this.current(), this.now);
  }

  /** Checks and takes it, all or nothing. */
  async publish(files: readonly SubmittedFile[]): Promise<AcceptedPublication> {
    const accepted = await this.check(files);
    for (const root of accepted.roots) {
      this.root = root;
      this.rootFiles.set(root.version, root.envelope.bytes);
      this.files.set(servedName('root', root.version), root.envelope.bytes);
    }
    for (const name of accepted.removed) {
      const held = this.roles.get(name);
      if (held !== undefined) this.roles.set(name, { ...held, delegator: undefined });
    }
    for (const { name, delegator, file, version } of accepted.roles) {
      this.roles.set(name, { name, delegator, file });
      this.files.set(servedName(name, version), file.envelope.bytes);
    }
    this.writeOnline();
    return accepted;
  }

  writeOnline(): void {
    this.#onlineVersion += 1;
    const version = this.#onlineVersion;
    const expires = formatDate(this.now + 10 * day);
    const fact = (bytes: Uint8Array) => ({ length: bytes.length, sha256: hexOf(sha256Of(bytes)) });
    const entries = [...this.roles]
      .map(
        ([name, { file }]) =>
          [
            `${name}.json`,
            snapshotEntry(name, { version: file.version, ...fact(file.envelope.bytes) }),
          ] as const,
      )
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([, entry]) => entry);
    const snapshot = this.#signText(
      snapshotText(entries, version, expires, this.genesis, specVersion),
      'snapshot',
    );
    this.files.set(servedName('snapshot', version), snapshot);
    const text = timestampText(
      { version, ...fact(snapshot) },
      version,
      expires,
      formatDate(this.now),
      this.genesis,
      specVersion,
    );
    this.files.set('timestamp.json', this.#signText(text, 'timestamp'));
  }

  #signText(text: string, role: 'snapshot' | 'timestamp'): Uint8Array {
    const ids = [...(this.root?.roles[role].keys.keys() ?? [])];
    const signers = onlineKeys.filter(({ keyId }) => ids.includes(keyId));
    const signatures = signers.map((key) => ({ keyId: key.keyId, sig: key.sign(Buffer.from(text)) }));
    return encodeEnvelopeText(text, signatures);
  }
}

const onlineKeys = ['snapshot', 'timestamp', 'snapshot 2', 'timestamp 2'].map(testKey);

/** Who signs for a tenant, and what they have signed last. */
export class Owner {
  readonly tenancy: Tenancy;
  readonly content = new Map<string, JsonObject>();
  readonly keys = new Map<string, readonly TestKey[]>();
  rootContent!: JsonObject;

  constructor(tenancy: Tenancy) {
    this.tenancy = tenancy;
  }

  get expires(): number {
    return this.tenancy.now + 100 * day;
  }

  keysOf(role: string): readonly TestKey[] {
    return this.keys.get(role) ?? [testKey(role.replace(/^bins~(.*)-[0-9a-f]+$/, '$1'))];
  }

  /** Root and an empty `targets` with these delegations, each with an empty first file. */
  first(roles: readonly string[] = ['distrust', 'reserved', 'org']): SubmittedFile[] {
    const rootRoles: RootRoles = {
      root: roleKeys([testKey('root')]),
      snapshot: roleKeys([testKey('snapshot')]),
      targets: roleKeys([testKey('targets')]),
      timestamp: roleKeys([testKey('timestamp')]),
    };
    this.rootContent = firstRoot(rootRoles, this.expires);
    const bytes = signFile(this.rootContent, [testKey('root')]);
    this.genesis = parseRoot(bytes).genesis as Digest;
    this.content.set('targets', emptyRole('targets', this.genesis, 1, this.expires));
    for (const role of roles) {
      this.edit('targets', (signed) => withDelegation(signed, 'targets', role, roleKeys(this.keysOf(role))));
      this.content.set(role, emptyRole(role, this.genesis, 1, this.expires));
    }
    return [{ role: 'root', bytes }, ...['targets', ...roles].map((role) => this.file(role))];
  }

  genesis!: Digest;

  edit(role: string, change: (signed: JsonObject) => JsonObject): void {
    this.content.set(role, change(this.signed(role)));
  }

  signed(role: string): JsonObject {
    const signed = this.content.get(role);
    if (signed === undefined) throw new TypeError(`no role ${role}`);
    return signed;
  }

  /** The content as it stands, signed. */
  file(role: string, keys: readonly TestKey[] = this.keysOf(role)): SubmittedFile {
    return { role, bytes: signFile(this.signed(role), keys) };
  }

  /** The next version, changed, signed. */
  next(role: string, change: (signed: JsonObject) => JsonObject = (signed) => signed): SubmittedFile {
    this.edit(role, (signed) => change(nextVersion(signed, this.expires)));
    return this.file(role);
  }

  /** A first version of a role. */
  create(role: string, change: (signed: JsonObject) => JsonObject = (signed) => signed): SubmittedFile {
    this.content.set(role, change(emptyRole(role, this.genesis, 1, this.expires)));
    return this.file(role);
  }

  /** The delegator's next version and the role's first. */
  delegate(delegator: string, role: string): SubmittedFile[] {
    const keys = roleKeys(this.keysOf(role));
    return [
      this.next(delegator, (signed) => withDelegation(signed, delegator, role, keys)),
      this.create(role),
    ];
  }

  /** The next version of `role` and a first version of every bin. */
  split(role: string, bitLength: number): SubmittedFile[] {
    const keys = roleKeys(this.keysOf(role));
    const files = [this.next(role, (signed) => withBins(signed, role, bitLength, keys))];
    for (let i = 0; i < 2 ** bitLength; i += 1) {
      files.push(this.create(binName({ bitLength, namePrefix: `bins~${role}` }, i)));
    }
    return files;
  }

  /** The next root with these roles changed, signed by all of the keys. */
  nextRootFile(changes: Partial<RootRoles>, keys: readonly TestKey[]): SubmittedFile {
    const { root } = this.tenancy;
    if (root === undefined) throw new TypeError('no root yet');
    this.rootContent = nextRoot(root, changes, this.expires);
    return { role: 'root', bytes: signFile(this.rootContent, keys) };
  }
}

/** A tenant with `distrust`, `reserved` and `org`, published. */
export async function newTenancy(roles?: readonly string[]): Promise<{ tenancy: Tenancy; owner: Owner }> {
  const tenancy = new Tenancy();
  const owner = new Owner(tenancy);
  await tenancy.publish(owner.first(roles));
  return { tenancy, owner };
}
