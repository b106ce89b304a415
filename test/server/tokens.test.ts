/** API tokens as people manage them: what they made, and nothing that others must not know of. */
import assert from 'node:assert/strict';
import { apiLimits, type CreatedToken, type Problem, type TokenList } from '@mandate/api';
import { describeService, type Client } from './service.ts';

describeService('tokens', (current) => {
  const list = async (client: Client, query = ''): Promise<TokenList> =>
    (await client.call<TokenList>('GET', `/v1/tokens${query}`)).body;
  const make = async (client: Client, tenant: string): Promise<CreatedToken> => {
    const grants = [{ tenant, level: 'reader' }];
    return (await client.call<CreatedToken>('POST', '/v1/tokens', { label: `for ${tenant}`, grants })).body;
  };

  it('are listed to who made them, without what others granted them', async () => {
    const { operator } = current();
    for (const name of ['acme', 'hidden']) await operator.tenant(name, ['reserved', 'org']);
    const owner = await operator.with([{ tenant: 'acme', level: 'owner' }]);
    const stranger = await operator.with([{ tenant: 'acme', level: 'owner' }]);
    const made = await make(owner, 'acme');
    await operator.call('POST', '/v1/tenants/hidden/grants', { level: 'reader', token: made.id });
    const { tokens } = await list(owner);
    const [, ownId = ''] = owner.token.split('_');
    assert.deepEqual(tokens, [
      {
        id: made.id,
        kind: 'token',
        label: 'for acme',
        operator: false,
        grants: [{ tenant: 'acme', level: 'reader' }],
        createdBy: ownId,
        created: tokens[0]?.created ?? '',
      },
    ]);
    assert.deepEqual((await list(stranger)).tokens, []);
    const all = (await list(operator)).tokens;
    assert.deepEqual(
      all.find(({ id }) => id === made.id)?.grants.map(({ tenant }) => tenant),
      ['acme', 'hidden'],
    );
    assert.ok(!JSON.stringify(all).includes(made.token.slice(21)), 'no secret');
  });

  it('are ended by who made them, and by operators', async () => {
    const { operator } = current();
    const owner = await operator.with([{ tenant: 'acme', level: 'owner' }]);
    const stranger = await operator.with([{ tenant: 'acme', level: 'owner' }]);
    const [first, second] = [await make(owner, 'acme'), await make(owner, 'acme')];
    const remove = async (client: Client, id: string): Promise<number> =>
      (await client.call<Problem | undefined>('DELETE', `/v1/tokens/${id}`)).status;
    assert.deepEqual(
      [
        await remove(stranger, first.id),
        await remove(owner, first.id),
        await remove(owner, first.id),
        await remove(operator, second.id),
        await remove(owner, operator.token.split('_')[1] ?? ''),
      ],
      [404, 204, 404, 204, 404],
    );
    assert.deepEqual((await list(owner)).tokens, []);
  });

  it('come in pages, each once', async () => {
    const { operator } = current();
    const owner = await operator.with([{ tenant: 'acme', level: 'owner' }]);
    const ids: string[] = [];
    for (let i = 0; i <= apiLimits.tokenPage; i += 1) ids.push((await make(owner, 'acme')).id);
    const first = await list(owner);
    assert.equal(first.tokens.length, apiLimits.tokenPage);
    const rest = await list(owner, `?after=${first.next}`);
    assert.equal(rest.next, undefined);
    assert.deepEqual(
      [...first.tokens, ...rest.tokens].map(({ id }) => id),
      ids.toSorted(),
    );
    const wrong = await owner.call<Problem>('GET', '/v1/tokens?after=x');
    assert.equal(wrong.body.code, 'MALFORMED');
  });
});
