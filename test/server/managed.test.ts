/** Roles that their owners gave to the service, and everything that it must not sign. */
import assert from 'node:assert/strict';
import type {
  ManagedKey,
  ManagedKeyList,
  Problem,
  Publication,
  PublicationRequest,
  Tenant,
} from '@mandate/api';
import {
  emptyRole,
  isManaged,
  leafOf,
  markManaged,
  nextVersion,
  parsePublicKey,
  parseTargets,
  signingStatus,
  sha256Of,
  withBins,
  withDelegation,
  type JsonObject,
  type JsonValue,
  type KeyId,
  type PublicKey,
} from '@mandate/metadata';
import { newSigner, publication, signed, type Owner } from './owner.ts';
import { describeService, servedFile, type Answer, type Client } from './service.ts';

const year = 365 * 86_400_000;
const role = 'repo~nightly';
const unsigned = (content: JsonObject): Promise<string> => signed(content, []);
const entry = new Map([
  ['nightly/v1', { length: 7, digest: sha256Of('nightly'), custom: { mediaType: 'text/plain' } }],
]);

function keyOf({ key }: { key: unknown }): PublicKey {
  return parsePublicKey(key as JsonValue);
}

interface Given {
  readonly operator: Client;
  readonly owner: Owner;
  readonly slug: string;
  readonly key: ManagedKey;
}

describeService('managed roles', (current) => {
  let count = 0;

  async function askKey(operator: Client, slug: string, of = role): Promise<Answer<ManagedKey & Problem>> {
    return operator.call('POST', `/v1/tenants/${slug}/managed-keys`, { role: of });
  }

  /** A tenant whose owner has a managed key for `role`, delegated to nobody yet. */
  async function tenant(): Promise<Given> {
    const { operator } = current();
    count += 1;
    const { owner, slug } = await operator.tenant(`tenant${count}`, ['reserved', 'org']);
    const made = await askKey(operator, slug);
    assert.equal(made.status, 201, JSON.stringify(made.body));
    return { operator, owner, slug, key: made.body };
  }

  /** The next targets with a delegation of `name` to these keys, signed by its owner. */
  async function delegating(
    { owner }: Given,
    name: string,
    keys: readonly PublicKey[],
    threshold = 1,
  ): Promise<string> {
    const next = nextVersion(owner.content.get('targets') as JsonObject, Date.now() + year);
    return owner.sign('targets', withDelegation(next, 'targets', name, { keys, threshold }));
  }

  function first({ owner }: Given, name: string): JsonObject {
    const content = emptyRole(name, owner.genesis, 1, Date.now() + year);
    owner.content.set(name, content);
    return content;
  }

  async function send(
    { operator, owner, slug }: Given,
    files: Record<string, string>,
    managed = true,
  ): Promise<Answer<Publication & Problem>> {
    const request: PublicationRequest = { ...publication(files), ...(managed ? { managed } : {}) };
    const answer = await operator.publish(slug, request);
    if (answer.status !== 201) return answer;
    for (const [name, text] of Object.entries(files))
      owner.content.set(name, (JSON.parse(text) as { signed: JsonObject }).signed);
    return answer;
  }

  /** With the role delegated to the managed key and live. */
  async function given(): Promise<Given> {
    const made = await tenant();
    const targets = await delegating(made, role, [markManaged(keyOf(made.key))]);
    const answer = await send(made, { targets, [role]: await unsigned(first(made, role)) });
    assert.equal(answer.status, 201, JSON.stringify(answer.body));
    return made;
  }

  async function refuses(
    made: Given,
    files: Record<string, string>,
    code: string,
    managed = true,
  ): Promise<Problem> {
    const { body } = await send(made, files, managed);
    assert.equal(body.code, code, JSON.stringify(body));
    return body;
  }

  it('are signed by the service, when asked', async () => {
    const made = await given();
    const next = await unsigned(made.owner.next(role, entry));
    await refuses(made, { [role]: next }, 'THRESHOLD_NOT_MET', false);
    const publisher = await made.operator.with([{ tenant: made.slug, level: 'publisher' }]);
    const request = { ...publication({ [role]: next }), managed: true };
    assert.equal((await publisher.publish(made.slug, request)).status, 201);
    // Sent again it is the same publication.
    assert.equal((await publisher.publish(made.slug, request)).status, 200);
    const { url } = made.operator;
    const file = parseTargets(await servedFile(url, made.slug, `2.${role}.json`));
    const targets = parseTargets(await servedFile(url, made.slug, '2.targets.json'));
    const keySet = targets.delegations?.named(role)?.keySet;
    assert.ok(keySet !== undefined && signingStatus(file.envelope, keySet).met);
    assert.ok([...keySet.keys.values()].every(isManaged));
    assert.ok(file.targets.has('nightly/v1'));
  });

  it('take their bins and their leaf along', async () => {
    const made = await given();
    const keys = { keys: [markManaged(keyOf(made.key))], threshold: 1 };
    const split = withBins(made.owner.next(role), role, 1, keys);
    const bins = [0, 1].map((i) => `bins~${role}-${i}`);
    const files: Record<string, string> = { [role]: await unsigned(split) };
    for (const bin of bins) files[bin] = await unsigned(first(made, bin));
    const answer = await send(made, files);
    assert.equal(answer.status, 201, JSON.stringify(answer.body));

    const other = await tenant();
    const made2 = { ...other, key: (await askKey(other.operator, other.slug, 'org~team')).body };
    const own = { keys: [markManaged(keyOf(made2.key))], threshold: 1 };
    const team = withDelegation(first(made2, 'org~team'), 'org~team', leafOf('org~team'), own);
    const targets = await delegating(made2, 'org~team', own.keys);
    const both = await send(made2, {
      targets,
      'org~team': await unsigned(team),
      [leafOf('org~team')]: await unsigned(first(made2, leafOf('org~team'))),
    });
    assert.equal(both.status, 201, JSON.stringify(both.body));
  });

  it('with people beside it, the service signs last and only what nobody else is missing from', async () => {
    const made = await tenant();
    const [alice, bob] = [newSigner('alice'), newSigner('bob')];
    const managed = markManaged(keyOf(made.key));
    const targets = await delegating(made, role, [alice.publicKey, bob.publicKey, managed], 3);
    const content = first(made, role);
    await refuses(made, { targets, [role]: await signed(content, [alice]) }, 'THRESHOLD_NOT_MET');
    const answer = await send(made, { targets, [role]: await signed(content, [alice, bob]) });
    assert.equal(answer.status, 201, JSON.stringify(answer.body));
  });

  it('it signs nothing where another file of the publication is not signed', async () => {
    const made = await given();
    const org = await unsigned(made.owner.next('org'));
    const refused = await refuses(
      made,
      { [role]: await unsigned(made.owner.next(role)), org },
      'THRESHOLD_NOT_MET',
    );
    assert.equal(refused.role, 'org');
  });

  it('it signs no root, no targets, no role of people, and no other tenant', async () => {
    const made = await given();
    for (const name of ['targets', 'org'])
      await refuses(made, { [name]: await unsigned(made.owner.next(name)) }, 'THRESHOLD_NOT_MET');
    const root = await unsigned(nextVersion(made.owner.content.get('root') as JsonObject, Date.now() + year));
    assert.notEqual((await send(made, { root })).status, 201);
    for (const name of ['snapshot', 'timestamp'])
      await refuses(made, { [name]: '{"signatures":[],"signed":{}}' }, 'MALFORMED');
    const other = await tenant();
    const targets = await delegating(other, role, [markManaged(keyOf(made.key))]);
    await refuses(other, { targets, [role]: await unsigned(first(other, role)) }, 'MALFORMED');
  });

  it('a key without its mark is not delegated to', async () => {
    const made = await tenant();
    const content = await unsigned(first(made, role));
    const targets = await delegating(made, role, [keyOf(made.key)]);
    await refuses(made, { targets, [role]: content }, 'MALFORMED');
    const half = parsePublicKey({ ...(made.key.key as JsonObject), 'x-mandate-managed': 'yes' });
    await refuses(made, { targets: await delegating(made, role, [half]), [role]: content }, 'MALFORMED');
  });

  it('the mark stays for as long as the key is named', async () => {
    const made = await given();
    const targets = await delegating(made, role, [keyOf(made.key)]);
    await refuses(made, { targets }, 'MALFORMED');
  });

  it('a key serves the one role that it was made for', async () => {
    const made = await tenant();
    const other = 'repo~stable';
    const targets = await delegating(made, other, [markManaged(keyOf(made.key))]);
    await refuses(made, { targets, [other]: await unsigned(first(made, other)) }, 'MALFORMED');
  });

  it('no role is given to a key that signs snapshots or timestamps, marked or not', async () => {
    const made = await tenant();
    const { body } = await made.operator.call<Tenant>('GET', `/v1/tenants/${made.slug}`);
    for (const online of [body.onlineKeys.snapshot, body.onlineKeys.timestamp]) {
      const targets = await delegating(made, role, [markManaged(keyOf(online))]);
      await refuses(made, { targets, [role]: await unsigned(first(made, role)) }, 'MALFORMED');
    }
    // One of another tenant, which no rule over the files alone can know.
    const other = await tenant();
    const theirs = await other.operator.call<Tenant>('GET', `/v1/tenants/${other.slug}`);
    const targets = await delegating(made, role, [markManaged(keyOf(theirs.body.onlineKeys.timestamp))]);
    await refuses(made, { targets, [role]: await unsigned(first(made, role)) }, 'MALFORMED');
  });

  it('a key is made for owners, once until it is named, and for artifacts alone', async () => {
    const made = await tenant();
    const again = await askKey(made.operator, made.slug);
    assert.deepEqual([again.status, again.body.keyId], [200, made.key.keyId]);
    const publisher = await made.operator.with([{ tenant: made.slug, level: 'publisher' }]);
    assert.equal((await askKey(publisher, made.slug)).body.code, 'FORBIDDEN');
    for (const of of [
      'root',
      'targets',
      'snapshot',
      'timestamp',
      'distrust',
      'tenants',
      'policy',
      'reserved',
      'x',
    ])
      assert.equal((await askKey(made.operator, made.slug, of)).body.code, 'MALFORMED', of);
    const live = await given();
    const next = await askKey(live.operator, live.slug);
    assert.equal(next.status, 201);
    assert.notEqual(next.body.keyId, live.key.keyId);
    const list = await live.operator.call<ManagedKeyList>('GET', `/v1/tenants/${live.slug}/managed-keys`);
    assert.deepEqual(
      list.body.managedKeys.map(({ keyId }) => keyId),
      [next.body.keyId, live.key.keyId],
    );
    // The role goes over to it as to any other key.
    const targets = await delegating(live, role, [markManaged(keyOf(next.body))]);
    const moved = await send(live, { targets, [role]: await unsigned(live.owner.next(role)) });
    assert.equal(moved.status, 201, JSON.stringify(moved.body));
    const file = parseTargets(await servedFile(live.operator.url, live.slug, `2.${role}.json`));
    assert.deepEqual(
      file.envelope.signatures.map(({ keyId }): KeyId => keyId),
      [next.body.keyId],
    );
  });

  it('taken back, a role is signed no more', async () => {
    const made = await given();
    const alice = newSigner('alice');
    const targets = await delegating(made, role, [alice.publicKey]);
    const next = made.owner.next(role);
    assert.equal((await send(made, { targets, [role]: await signed(next, [alice]) })).status, 201);
    await refuses(made, { [role]: await unsigned(made.owner.next(role)) }, 'THRESHOLD_NOT_MET');
  });
});
