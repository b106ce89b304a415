/** A tenant under attack: what is served of it and known of it before a request must be there unchanged after it. */
import assert from 'node:assert/strict';
import type { Problem, Publication, PublicationRequest, TenantState } from '@mandate/api';
import { emptyRole, nextVersion, parseTimestamp, withDelegation, type JsonObject } from '@mandate/metadata';
import type { Signer } from '@mandate/signing';
import { newSigner, publication, signed, type Owner } from '../../server/owner.ts';
import { describeService, type Answer, type Client, type Service } from '../../server/service.ts';
import { edited, keyOf, type Draft, type RoleDraft } from './draft.ts';

const year = 365 * 86_400_000;

/** What a refusal has to say. Statuses and codes, never words. */
export interface Refusal {
  readonly status: number;
  readonly code: string;
  /** Absent where no rule of the metadata was broken. */
  readonly reason?: string;
  readonly role?: string;
}

export const tooFewKeys: Refusal = { status: 422, code: 'THRESHOLD_NOT_MET', reason: 'SIGNATURES' };
export const behind: Refusal = { status: 409, code: 'CONFLICT' };
export function malformed(reason: string): Refusal {
  return { status: 400, code: 'MALFORMED', reason };
}

export function overLimit(reason: string): Refusal {
  return { status: 422, code: 'LIMIT_EXCEEDED', reason };
}

export class Victim {
  readonly service: Service;
  readonly client: Client;
  readonly owner: Owner;
  readonly slug: string;

  private constructor(service: Service, client: Client, owner: Owner, slug: string) {
    this.service = service;
    this.client = client;
    this.owner = owner;
    this.slug = slug;
  }

  /** A live tenant with these roles, all delegated by `targets`. */
  static async of(service: Service, path: string, roles: readonly string[]): Promise<Victim> {
    const { owner, slug } = await service.operator.tenant(path, roles);
    return new Victim(service, service.operator, owner, slug);
  }

  /** The same tenant, with another token. */
  as(client: Client): Victim {
    return new Victim(this.service, client, this.owner, this.slug);
  }

  contentOf(role: string): JsonObject {
    const content = this.owner.content.get(role);
    assert.ok(content, role);
    return content;
  }

  /** The next version of a role, spoiled. */
  next(role: string, change: (draft: Draft) => void = () => undefined): JsonObject {
    return edited(this.owner.next(role), change);
  }

  /** The next version of a role, spoiled and then signed by its owner as if nothing were wrong. */
  signedNext(role: string, change: (draft: Draft) => void = () => undefined): Promise<string> {
    return this.owner.sign(role, this.next(role, change));
  }

  /** The next root, spoiled. */
  nextRoot(change: (draft: Draft) => void = () => undefined): JsonObject {
    return edited(nextVersion(this.contentOf('root'), Date.now() + year), (draft) => {
      draft['x-mandate-tenant'] = this.owner.genesis;
      change(draft);
    });
  }

  /** The next targets with these keys for a delegated role. */
  nextDelegation(role: string, signers: readonly Signer[], threshold: number): JsonObject {
    const keys = signers.map(({ publicKey }) => publicKey);
    return withDelegation(this.next('targets'), 'targets', role, { keys, threshold });
  }

  /** The next version of a role that delegates this, and nothing else. */
  delegating(role: string, ...delegations: readonly RoleDraft[]): JsonObject {
    const used = new Set(delegations.flatMap(({ keyids }) => keyids));
    const keys = [...this.owner.signers.values()]
      .filter(({ keyId }) => used.has(keyId))
      .map((signer) => [signer.keyId, keyOf(signer)] as const);
    return this.next(role, (draft) => {
      draft.delegations = { keys: Object.fromEntries(keys), roles: [...delegations] } as Draft['delegations'];
    });
  }

  /** The first version of a role that nobody delegates to yet; its owner keeps the key. */
  first(role: string): Promise<string> {
    const { signers, content, genesis } = this.owner;
    if (!signers.has(role)) signers.set(role, newSigner(role));
    content.set(role, emptyRole(role, genesis, 1, Date.now() + year));
    return this.owner.sign(role);
  }

  /** Gives a role to several keys, in a publication that goes live. */
  async share(role: string, signers: readonly Signer[], threshold: number): Promise<void> {
    const targets = this.nextDelegation(role, signers, threshold);
    const content = this.next(role);
    const files = {
      targets: await this.owner.sign('targets', targets),
      [role]: await signed(content, signers),
    };
    await this.accepts(files);
    this.owner.content.set('targets', targets).set(role, content);
  }

  /** A body sent as it is: text that no JSON library would write. */
  async send(
    body: string | Uint8Array<ArrayBuffer>,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Answer<Problem>> {
    const response = await fetch(`${this.service.server.url}/v1/tenants/${this.slug}/publications`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${this.client.token}`,
        'content-type': 'application/json',
        ...headers,
      },
      body,
    });
    return { status: response.status, headers: response.headers, body: (await response.json()) as Problem };
  }

  async served(name: string): Promise<{ status: number; bytes: Buffer }> {
    const response = await fetch(`${this.service.server.url}/tuf/${this.slug}/metadata/${name}`);
    return { status: response.status, bytes: Buffer.from(await response.arrayBuffer()) };
  }

  async tenantState(): Promise<TenantState> {
    const { status, body } = await this.service.operator.call<TenantState>('GET', `/v1/tenants/${this.slug}`);
    assert.equal(status, 200);
    return body;
  }

  /** What the API says of the tenant, every byte that is served of it, and that nothing is served beyond that. */
  async everything(): Promise<unknown> {
    const state = await this.tenantState();
    const names = ['timestamp.json', 'root.json'];
    for (const { name, version } of state.roles) {
      for (let v = 1; v <= version + 1; v += 1) names.push(`${v}.${encodeURIComponent(name)}.json`);
    }
    const files = new Map<string, string>();
    const read = async (name: string): Promise<Buffer> => {
      const { status, bytes } = await this.served(name);
      files.set(name, `${status} ${status === 200 ? bytes.toString('latin1') : ''}`);
      return bytes;
    };
    await Promise.all(names.map(read));
    const { bytes } = await this.served('timestamp.json');
    await read(`${parseTimestamp(bytes).snapshot.version}.snapshot.json`);
    return { state, files };
  }

  /** The request is refused like this, and nothing has changed. */
  async refuses(
    attack: Readonly<Record<string, string>> | PublicationRequest,
    refusal: Refusal,
  ): Promise<Problem> {
    const request = requestOf(attack);
    const before = await this.everything();
    const answer = await this.client.publish(this.slug, request);
    assertRefusal(answer, refusal);
    // A person has to know which of many files it was.
    if (refusal.reason !== undefined)
      assert.equal(typeof answer.body.role, 'string', JSON.stringify(answer.body));
    assert.deepEqual(await this.everything(), before);
    const outcome = await this.service.operator.call<Problem>('GET', `/v1/publications/${request.id}`);
    assert.equal(outcome.status, 404);
    return answer.body;
  }

  /** The request goes live: what stands beside an attack and is none. */
  async accepts(files: Readonly<Record<string, string>> | PublicationRequest): Promise<Publication> {
    const answer = await this.client.publish(this.slug, requestOf(files));
    assert.equal(answer.status, 201, JSON.stringify(answer.body));
    return answer.body;
  }
}

function requestOf(files: Readonly<Record<string, string>> | PublicationRequest): PublicationRequest {
  return typeof files['id'] === 'string' && 'files' in files
    ? (files as PublicationRequest)
    : publication(files as Record<string, string>);
}

export function assertRefusal(answer: Answer<Problem>, { status, code, reason, role }: Refusal): void {
  const { body } = answer;
  assert.deepEqual([answer.status, body.code, body.reason], [status, code, reason], JSON.stringify(body));
  assert.equal(answer.headers.get('content-type'), 'application/problem+json');
  assert.equal(body.status, status);
  if (role !== undefined) assert.equal(body.role, role);
}

/** The same attacks on every kind of database; each asks for a new tenant. */
export function describeAttacks(
  section: string,
  define: (newVictim: (...roles: string[]) => Promise<Victim>, current: () => Service) => void,
  settings: Parameters<typeof describeService>[2] = {},
): void {
  let count = 0;
  describeService(
    `attacks on the write API: ${section}`,
    (current) =>
      define((...roles) => {
        count += 1;
        return Victim.of(current(), `victim${count}`, roles.length === 0 ? ['reserved', 'org'] : roles);
      }, current),
    settings,
  );
}
