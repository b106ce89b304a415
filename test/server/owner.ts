/** A tenant's owner in tests: holds the keys, builds and signs the files on its own side. */
import { generateKeyPairSync, randomUUID, type KeyObject } from 'node:crypto';
import type { OnlineKeys, PublicationRequest } from '@mandate/api';
import {
  emptyRole,
  encodeEnvelope,
  firstRoot,
  nextVersion,
  parsePublicKey,
  parseRoot,
  signingBytes,
  withBins,
  withDelegation,
  withTargets,
  type Digest,
  type JsonObject,
  type JsonValue,
  type NewTarget,
  type PublicKey,
} from '@mandate/metadata';
import { signaturesOver, signerFromKeyObject, type Signer } from '@mandate/signing';

const year = 365 * 86_400_000;

export function newSigner(name: string): Signer {
  const { privateKey } = generateKeyPairSync('ed25519');
  return signerOf(privateKey, name);
}

function signerOf(privateKey: KeyObject, name: string): Signer {
  return signerFromKeyObject(privateKey, `test:${name}`);
}

export async function signed(content: JsonObject, signers: readonly Signer[]): Promise<string> {
  return Buffer.from(
    encodeEnvelope(content, await signaturesOver(signingBytes(content), signers)),
  ).toString();
}

export function publication(files: Record<string, string>): PublicationRequest {
  return {
    id: randomUUID(),
    files: Object.entries(files).map(([role, metadata]) => ({ role, metadata })),
  };
}

/** Keeps the `signed` part of every role as last built, and signs with one key for each role. */
export class Owner {
  readonly rootSigner: Signer = newSigner('root');
  readonly targetsSigner: Signer = newSigner('targets');
  readonly signers = new Map<string, Signer>();
  readonly content = new Map<string, JsonObject>();
  readonly #expires: number;
  genesis!: Digest;
  rootText!: string;

  constructor(now: number = Date.now()) {
    this.#expires = now + year;
  }

  /** Root, targets and empty roles with a key each; in the order of the layout. */
  async first(online: OnlineKeys, roles: readonly string[]): Promise<PublicationRequest> {
    const keyOf = (wire: unknown): PublicKey => parsePublicKey(wire as JsonValue);
    const root = firstRoot(
      {
        root: { keys: [this.rootSigner.publicKey], threshold: 1 },
        targets: { keys: [this.targetsSigner.publicKey], threshold: 1 },
        snapshot: { keys: [keyOf(online.snapshot.key)], threshold: 1 },
        timestamp: { keys: [keyOf(online.timestamp.key)], threshold: 1 },
      },
      this.#expires,
    );
    this.rootText = await signed(root, [this.rootSigner]);
    const genesis = parseRoot(Buffer.from(this.rootText)).genesis;
    if (genesis === undefined) throw new Error('no genesis');
    this.genesis = genesis;
    this.content.set('root', root);
    this.signers.set('targets', this.targetsSigner);
    let targets = emptyRole('targets', genesis, 1, this.#expires);
    const files: Record<string, string> = { root: this.rootText };
    for (const role of roles) {
      const signer = newSigner(role);
      this.signers.set(role, signer);
      targets = withDelegation(targets, 'targets', role, { keys: [signer.publicKey], threshold: 1 });
      this.content.set(role, emptyRole(role, genesis, 1, this.#expires));
    }
    this.content.set('targets', targets);
    files['targets'] = await this.sign('targets');
    for (const role of roles) files[role] = await this.sign(role);
    return publication(files);
  }

  signerFor(role: string): Signer {
    const bins = /^bins~(.+)-[0-9a-f]+$/.exec(role)?.[1];
    const signer = this.signers.get(bins ?? role);
    if (signer === undefined) throw new Error(`no key for ${role}`);
    return signer;
  }

  sign(role: string, content: JsonObject | undefined = this.content.get(role)): Promise<string> {
    if (content === undefined) throw new Error(`no content of ${role}`);
    return signed(content, [this.signerFor(role)]);
  }

  /** The next version of a role with these targets added; not kept until `keep` is called. */
  next(role: string, targets: ReadonlyMap<string, NewTarget> = new Map()): JsonObject {
    const content = this.content.get(role);
    if (content === undefined) throw new Error(`no content of ${role}`);
    return withTargets(nextVersion(content, this.#expires), targets);
  }

  /** The version after `content`, with these targets added. */
  nextOf(content: JsonObject, targets: ReadonlyMap<string, NewTarget>): JsonObject {
    return withTargets(nextVersion(content, this.#expires), targets);
  }

  /** Publishes nothing: the next version of `role`, kept and signed. */
  async advance(role: string, targets: ReadonlyMap<string, NewTarget> = new Map()): Promise<string> {
    this.content.set(role, this.next(role, targets));
    return this.sign(role);
  }

  /** The next targets with one more delegation, and the first version of that role. */
  async delegate(role: string, signer: Signer = newSigner(role)): Promise<Record<string, string>> {
    this.signers.set(role, signer);
    const content = this.content.get('targets') as JsonObject;
    this.content.set(
      'targets',
      withDelegation(nextVersion(content, this.#expires), 'targets', role, {
        keys: [signer.publicKey],
        threshold: 1,
      }),
    );
    this.content.set(role, emptyRole(role, this.genesis, 1, this.#expires));
    return { targets: await this.sign('targets'), [role]: await this.sign(role) };
  }

  /** The next version of `role`, split into bins, with the first version of each. */
  async split(role: string, bitLength: number): Promise<Record<string, string>> {
    const keys = { keys: [this.signerFor(role).publicKey], threshold: 1 };
    const content = nextVersion(this.content.get(role) as JsonObject, this.#expires);
    this.content.set(role, withBins(content, role, bitLength, keys));
    const files: Record<string, string> = { [role]: await this.sign(role) };
    const digits = Math.ceil(bitLength / 4);
    for (let i = 0; i < 2 ** bitLength; i += 1) {
      const bin = `bins~${role}-${i.toString(16).padStart(digits, '0')}`;
      this.content.set(bin, emptyRole(bin, this.genesis, 1, this.#expires));
      files[bin] = await this.sign(bin);
    }
    return files;
  }
}
