/** A tenant with roles that several people hold, and what they send to have it changed. */
import type {
  CreateProposalRequest,
  OnlineKeys,
  Problem,
  Proposal,
  ProposalProgress,
  ProposalSignature,
  Publication,
  PublicationRequest,
  Tenant,
} from '@mandate/api';
import {
  emptyRole,
  firstRoot,
  nextVersion,
  parseRoot,
  parsePublicKey,
  sha256Of,
  signingBytes,
  wireText,
  withDelegation,
  withTargets,
  type Digest,
  type JsonObject,
  type JsonValue,
  type NewTarget,
} from '@mandate/metadata';
import type { Signer } from '@mandate/signing';
import { newSigner, publication, signed } from './owner.ts';
import type { Answer, Client } from './service.ts';

export interface Holders {
  readonly signers: readonly Signer[];
  readonly threshold: number;
}

export function holders(name: string, threshold: number, count: number): Holders {
  return { threshold, signers: Array.from({ length: count }, (_, i) => newSigner(`${name}${i}`)) };
}

export function keysOf({ signers, threshold }: Holders): { keys: Signer['publicKey'][]; threshold: number } {
  return { keys: signers.map(({ publicKey }) => publicKey), threshold };
}

export async function signatureOf(
  role: string,
  content: JsonObject,
  signer: Signer,
): Promise<ProposalSignature> {
  const sig = await signer.sign(signingBytes(content));
  return { role, keyId: signer.keyId, sig: Buffer.from(sig).toString('hex') };
}

/** A target whose content is its name. */
export function target(name: string): NewTarget {
  return { length: name.length, digest: sha256Of(name) };
}

const year = 365 * 86_400_000;

export class Team {
  readonly slug: string;
  readonly genesis: Digest;
  readonly holders: ReadonlyMap<string, Holders>;
  readonly expires: number;
  /** The `signed` part of each role as last known to be live. */
  readonly content: Map<string, JsonObject>;
  readonly online: OnlineKeys;
  /** With its first files. */
  readonly first: Publication;

  private constructor(
    slug: string,
    genesis: Digest,
    held: ReadonlyMap<string, Holders>,
    content: Map<string, JsonObject>,
    online: OnlineKeys,
    expires: number,
    first: Publication,
  ) {
    this.first = first;
    this.slug = slug;
    this.genesis = genesis;
    this.holders = held;
    this.content = content;
    this.online = online;
    this.expires = expires;
  }

  /** Reserves the tenant and publishes its first files; `root` and `targets` have one key each unless given. */
  static async start(
    client: Client,
    path: string,
    roles: Readonly<Record<string, Holders>>,
    now: number = Date.now(),
  ): Promise<Team> {
    const reserved = await client.call<Tenant>('POST', '/v1/tenants', { path });
    if (reserved.status !== 201) throw new Error(JSON.stringify(reserved.body));
    const { slug, onlineKeys } = reserved.body;
    const held = new Map<string, Holders>([
      ['root', holders('root', 1, 1)],
      ['targets', holders('targets', 1, 1)],
      ['reserved', holders('reserved', 1, 1)],
      ...Object.entries(roles),
    ]);
    const of = (role: string): Holders => held.get(role) as Holders;
    const online = (wire: unknown) => ({ keys: [parsePublicKey(wire as JsonValue)], threshold: 1 });
    const expires = now + year;
    const root = firstRoot(
      {
        root: keysOf(of('root')),
        targets: keysOf(of('targets')),
        snapshot: online(onlineKeys.snapshot.key),
        timestamp: online(onlineKeys.timestamp.key),
      },
      expires,
    );
    const rootText = await signed(root, of('root').signers);
    const { genesis } = parseRoot(Buffer.from(rootText));
    if (genesis === undefined) throw new Error('no genesis');
    const content = new Map<string, JsonObject>([['root', root]]);
    const files: Record<string, string> = { root: rootText };
    let targets = emptyRole('targets', genesis, 1, expires);
    for (const [role, one] of held) {
      if (role === 'root' || role === 'targets') continue;
      targets = withDelegation(targets, 'targets', role, keysOf(one));
      content.set(role, emptyRole(role, genesis, 1, expires));
    }
    content.set('targets', targets);
    for (const [role, body] of content) {
      if (role !== 'root') files[role] = await signed(body, of(role).signers);
    }
    const first = await client.publish(slug, publication(files));
    if (first.status !== 201) throw new Error(JSON.stringify(first.body));
    return new Team(slug, genesis, held, content, onlineKeys, expires, first.body);
  }

  of(role: string): Holders {
    const found = this.holders.get(role);
    if (found === undefined) throw new Error(`nobody holds ${role}`);
    return found;
  }

  /** The next version, with one more target. */
  next(role: string, path?: string): JsonObject {
    const content = nextVersion(this.content.get(role) as JsonObject, this.expires);
    return path === undefined ? content : withTargets(content, new Map([[path, target(path)]]));
  }

  /** The whole thing published at once, by everybody. */
  async publication(role: string, content: JsonObject): Promise<PublicationRequest> {
    return publication({ [role]: await signed(content, this.of(role).signers) });
  }

  signature(role: string, content: JsonObject, holder: number): Promise<ProposalSignature> {
    return signatureOf(role, content, this.of(role).signers[holder] as Signer);
  }
}

export function filesOf(contents: Readonly<Record<string, JsonObject>>): CreateProposalRequest['files'] {
  return Object.entries(contents).map(([role, content]) => ({ role, signed: wireText(content) }));
}

type Reply<T> = Promise<Answer<T & Problem>>;

/** One person's view of the proposals of a tenant. */
export class Proposals {
  readonly client: Client;
  readonly slug: string;

  constructor(client: Client, slug: string) {
    this.client = client;
    this.slug = slug;
  }

  make(request: CreateProposalRequest): Reply<ProposalProgress> {
    return this.client.call('POST', `/v1/tenants/${this.slug}/proposals`, request);
  }

  show(number: number): Reply<Proposal> {
    return this.client.call('GET', `/v1/tenants/${this.slug}/proposals/${number}`);
  }

  list(query = ''): Reply<{ proposals: ProposalProgress[]; next?: number }> {
    return this.client.call('GET', `/v1/tenants/${this.slug}/proposals${query}`);
  }

  sign(number: number, ...signatures: ProposalSignature[]): Reply<ProposalProgress> {
    return this.client.call('POST', `/v1/tenants/${this.slug}/proposals/${number}/signatures`, {
      signatures,
    });
  }

  withdraw(number: number, message?: string): Reply<ProposalProgress> {
    const body = message === undefined ? {} : { message };
    return this.client.call('POST', `/v1/tenants/${this.slug}/proposals/${number}/withdraw`, body);
  }
}
