/**
 * ATTACKS.md, "Bytes". Every row applies here; what is read by canonicalising elsewhere is refused when written.
 */
import assert from 'node:assert/strict';
import { isAscii } from 'node:buffer';
import { gzipSync } from 'node:zlib';
import { apiLimits, type Problem } from '@mandate/api';
import { limits, parseTargets, signingBytes, type JsonObject } from '@mandate/metadata';
import { publication } from '../../server/owner.ts';
import { delegationOf, entryOf, keyOf } from './draft.ts';
import { rawRequest } from './raw-request.ts';
import { assertRefusal, describeAttacks, malformed, overLimit, type Victim } from './victim.ts';

/** Names that are places for a file system, a URL or a reader. */
const tricks = [
  '../targets',
  '..',
  '.',
  '/etc/passwd',
  'a/../../b',
  'a//b',
  'a/',
  '..%2ftargets',
  '%2e%2e%2ftargets',
  'a%00b',
  'a\u0000b',
  'a\\..\\b',
  'C:\\a',
  't\u0430rgets',
  '\uff0e\uff0e\uff0fa',
  'a\u202eb',
  'a\u200db',
  'e\u0301',
  'a b',
  'a\nb',
  '\ud800',
];

/** Spoils the text after it was signed. The parser must be what refuses it: it comes before the signatures. */
function replaced(text: string, from: string | RegExp, to: string): string {
  const spoiled = text.replace(from, () => to);
  assert.notEqual(spoiled, text);
  return spoiled;
}

describeAttacks('bytes', (newVictim, current) => {
  it('`../`, absolute, encoded or Unicode-tricked role, target and repository names', async () => {
    const victim = await newVictim('policy', 'reserved', 'repo~a', 'org');
    const { owner, client } = victim;
    const before = await victim.everything();
    for (const name of tricks) {
      // A role, as the request names it and as it is delegated. A lone surrogate cannot even be signed.
      const reason = name === '\ud800' ? 'JSON' : 'NAME';
      await refuses(victim, { [name]: await victim.first(name) }, reason === 'JSON' ? reason : 'DELEGATION');
      const signer = owner.signerFor(name);
      const delegation = { ...delegationOf('a', signer.keyId), name };
      const targets = await victim.signedNext('targets', ({ delegations }) => {
        delegations.keys[signer.keyId] = keyOf(signer);
        delegations.roles.splice(3, 0, delegation);
      });
      await refuses(victim, { targets }, reason === 'JSON' ? reason : 'LAYOUT');
      const repository = await victim.signedNext('targets', ({ delegations }) => {
        delegations.keys[signer.keyId] = keyOf(signer);
        delegations.roles.splice(3, 0, { ...delegation, name: `repo~${name}`, paths: [`${name}/*`] });
      });
      await refuses(victim, { targets: repository }, reason === 'JSON' ? reason : 'LAYOUT');
      // A target, as a role lists it and as its content is handed in.
      for (const path of [`a/${name}`, `${name}/v1`]) {
        const listing = (role: string): Promise<string> =>
          victim.signedNext(role, (draft) => {
            draft.targets[path] = entryOf('x');
          });
        // As a member's name it may not even be other than ASCII.
        const asMember = reason === 'JSON' || isAscii(Buffer.from(name)) ? reason : 'CANONICAL';
        await refuses(victim, { 'repo~a': await listing('repo~a') }, asMember);
        await refuses(victim, { org: await listing('org') }, asMember);
      }
      const content = Buffer.from('x').toString('base64');
      const handedIn = {
        ...publication({ policy: await victim.signedNext('policy') }),
        targets: [{ path: `~policy/${name}`, content }],
      };
      const answer = await client.publish(victim.slug, handedIn);
      assertRefusal(answer, malformed('NAME'));
      // A tenant: in the address, where it is reserved, and where it is granted.
      const once = encodeURIComponent(name.toWellFormed());
      for (const slug of [once, encodeURIComponent(once), once.replaceAll('.', '%2e')]) {
        const { url } = current().server;
        const headers = { authorization: `Bearer ${client.token}`, 'content-type': 'application/json' };
        const gone = await rawRequest(url, 'POST', `/v1/tenants/${slug}/publications`, headers, '{}');
        assert.deepEqual([gone.status, (JSON.parse(gone.body) as Problem).code], [404, 'NOT_FOUND'], slug);
        for (const path of [
          `${slug}/metadata/1.org.json`,
          `${victim.slug}/metadata/1.${slug}.json`,
          `${victim.slug}/targets/${slug}/x`,
        ]) {
          const read = await rawRequest(url, 'GET', `/tuf/${path}`);
          assert.deepEqual([read.status, (JSON.parse(read.body) as Problem).code], [404, 'NOT_FOUND'], path);
        }
      }
      assertRefusal(await client.call('POST', '/v1/tenants', { path: name }), malformed('NAME'));
      const grant = { label: 'x', grants: [{ tenant: name, level: 'reader' }] };
      const granted = await client.call<Problem>('POST', '/v1/tokens', grant);
      assert.deepEqual([granted.status, granted.body.code], [404, 'NOT_FOUND'], name);
    }
    assert.deepEqual(await victim.everything(), before);
    await victim.accepts({ org: await victim.signedNext('org') });
  });

  it('endless data, huge numbers, deep nesting, decompression bombs', async () => {
    const victim = await newVictim('reserved', 'repo~a', 'org');
    const before = await victim.everything();
    const file = await victim.signedNext('org');
    // A file over its limit, and a body over its own.
    const large = await victim.signedNext('org', (draft) => {
      draft['x'] = 'x'.repeat(limits.roleBytes);
    });
    await victim.refuses({ org: large }, overLimit('SIZE'));
    const root = replaced(
      victim.owner.rootText,
      '"signed":{',
      `"signed":{"a":"${'x'.repeat(limits.rootBytes)}",`,
    );
    await victim.refuses({ root }, overLimit('SIZE'));
    const endless = ' '.repeat(apiLimits.publicationBytes + 1);
    assertRefusal(await victim.send(endless), { status: 413, code: 'TOO_LARGE' });

    for (const number of ['1e400', `1${'0'.repeat(100_000)}`, '1e999999999', '-0']) {
      await victim.refuses({ org: replaced(file, '"version":2', `"version":${number}`) }, malformed('JSON'));
    }
    for (const depth of [limits.jsonDepth + 1, 500_000]) {
      const nested = replaced(
        file,
        '"targets":{}',
        `"targets":{},"x":${'['.repeat(depth)}${']'.repeat(depth)}`,
      );
      await victim.refuses({ org: nested }, overLimit('DEPTH'));
      const deepList = replaced(
        file,
        '"signatures":[',
        `"signatures":[${'['.repeat(depth)}${']'.repeat(depth)},`,
      );
      await victim.refuses({ org: deepList }, overLimit('DEPTH'));
    }
    const deepBody = `{"id":"${crypto.randomUUID()}","files":${'['.repeat(2_000_000)}${']'.repeat(2_000_000)}}`;
    assertRefusal(await victim.send(deepBody), { status: 400, code: 'MALFORMED' });

    const body = JSON.stringify(publication({ org: file }));
    for (const encoding of ['gzip', 'br', 'deflate', 'zstd', 'gzip, gzip']) {
      const bomb = await victim.send(new Uint8Array(gzipSync(`${body}${' '.repeat(1_000_000)}`)), {
        'content-encoding': encoding,
      });
      assertRefusal(bomb, { status: 415, code: 'UNSUPPORTED_MEDIA_TYPE' });
    }
    const crowd = {
      id: crypto.randomUUID(),
      files: Array.from({ length: apiLimits.publicationFiles + 1 }, () => ({ role: 'org', metadata: '{}' })),
    };
    assertRefusal(await victim.client.publish(victim.slug, crowd), { status: 400, code: 'MALFORMED' });
    assert.deepEqual(await victim.everything(), before);
    await victim.accepts({ org: file });
  });

  it('duplicate JSON members, two `signed` objects, text that looks like one inside a string', async () => {
    const victim = await newVictim('reserved', 'repo~a', 'org');
    const file = await victim.signedNext('org');
    const signed = file.slice(file.indexOf('"signed":') + 9, -1);
    for (const [from, to] of [
      ['"version":2', '"version":2,"version":2'],
      ['"version":2', '"version":1,"version":2'],
      ['"targets":{}', '"targets":{"a/v1":1,"a/v1":2}'],
      ['"targets":{}', '"targets":{},"t\\u0061rgets":{}'],
      ['"sig":', '"keyid":"x","sig":'],
    ] as const) {
      await victim.refuses({ org: replaced(file, from, to) }, malformed('JSON'));
    }
    for (const [text, reason] of [
      [replaced(file, '"signed":', `"signed":${signed.replace('2', '3')},"signed":`), 'JSON'],
      [`${file.slice(0, -1)},"signed":{}}`, 'JSON'],
      [replaced(file, '"signatures":', '"signatures":[],"signatures":'), 'JSON'],
      [replaced(file, '"signed":', `"sign\\u0065d":${signed},"signed":`), 'SHAPE'],
      [replaced(file, '{"signatures"', '{"x":1,"signatures"'), 'SHAPE'],
      [`${file}${file}`, 'JSON'],
      [replaced(file, /"signed":.*$/, '"signed":[]}'), 'SHAPE'],
    ] as const) {
      await victim.refuses({ org: text }, malformed(reason));
    }
    const inString = await victim.signedNext('org', (draft) => {
      const custom = { note: '"signed":{"_type":"targets","version":99},"signatures":[]}' };
      draft.targets['a/v1'] = { ...entryOf('x'), custom };
    });
    await victim.accepts({ org: inString });
    const { bytes } = await victim.served('2.org.json');
    assert.equal(bytes.toString(), inString);
    assert.deepEqual([parseTargets(bytes).version, parseTargets(bytes).targets.size], [2, 1]);
  });

  it('numbers beyond 2^53, fractions, lone surrogates', async () => {
    const victim = await newVictim('reserved', 'repo~a', 'org');
    const file = await victim.signedNext('org', (draft) => {
      draft.targets['a/v1'] = { ...entryOf('x'), custom: { note: 'here' } };
    });
    for (const [from, to] of [
      ['"version":2', '"version":9007199254740993'],
      ['"version":2', '"version":2.5'],
      ['"version":2', '"version":2.0'],
      ['"version":2', '"version":2e0'],
      ['"length":1', '"length":9007199254740992'],
      ['"length":1', '"length":1.0'],
      ['"here"', '9007199254740993'],
      ['"here"', '0.5'],
      ['"here"', '"\\ud800"'],
      ['"here"', '"\\udc00\\ud800"'],
      ['"note"', '"\\ud83d"'],
    ] as const) {
      await victim.refuses({ org: replaced(file, from, to) }, malformed('JSON'));
    }
    await victim.accepts({ org: file });
  });

  it('non-canonical forms', async () => {
    const victim = await newVictim('reserved', 'repo~a', 'org');
    const { owner } = victim;
    const file = await victim.signedNext('org', (draft) => {
      draft.targets['a/v1'] = { ...entryOf('x'), custom: { note: 'a/b' } };
    });
    const { signatures, signed } = JSON.parse(file) as {
      signatures: { keyid: string; sig: string }[];
      signed: JsonObject;
    };
    const root = JSON.stringify({ signed: victim.nextRoot(), signatures: [] });
    for (const [role, text] of [
      ['org', JSON.stringify({ signatures, signed }, undefined, 1)],
      ['org', JSON.stringify({ signed, signatures })],
      ['org', JSON.stringify({ signatures, signed: Object.fromEntries(Object.entries(signed).reverse()) })],
      ['org', `${file}\n`],
      ['org', replaced(file, '"signed":', '"signed": ')],
      ['org', replaced(file, '"a/b"', '"a\\/b"')],
      ['org', replaced(file, '"a/b"', '"\\u0061/b"')],
      [
        'org',
        replaced(
          file,
          (signatures[0] as { sig: string }).sig,
          (signatures[0] as { sig: string }).sig.toUpperCase(),
        ),
      ],
      ['org', replaced(file, '"sig":', '"other":"x","sig":')],
      ['root', root],
    ] as const) {
      await victim.refuses({ [role]: text }, malformed('CANONICAL'));
    }
    await victim.refuses({ org: `\ufeff${file}` }, malformed('JSON'));
    await victim.accepts({ org: file });
    assert.equal((await victim.served('2.org.json')).bytes.toString(), file);
    assert.ok(
      file.includes(
        Buffer.from(signingBytes(owner.next('org')))
          .toString()
          .slice(0, 40),
      ),
    );
  });

  it('`hashes: {}`, md5 alone, upper-case hex', async () => {
    const victim = await newVictim('reserved', 'repo~a', 'org');
    const { hashes } = entryOf('x');
    for (const spoiled of [
      {},
      { md5: 'd41d8cd98f00b204e9800998ecf8427e' },
      { sha256: hashes.sha256.toUpperCase() },
      { sha256: hashes.sha256.slice(2) },
      { sha256: '' },
      { sha256: null },
      { SHA256: hashes.sha256 },
      { ...hashes, sha512: 'AB' },
      null,
      [],
      'x',
    ]) {
      const org = await victim.signedNext('org', (draft) => {
        draft.targets['a/v1'] = { hashes: spoiled, length: 1 };
      });
      await victim.refuses({ org }, malformed('SHAPE'));
    }
    const org = await victim.signedNext('org', (draft) => {
      draft.targets['a/v1'] = { hashes: { ...hashes, blake3: 'whatever' }, length: 1 };
    });
    await victim.accepts({ org });
  });

  it('code-unit against code-point order in canonical JSON', async () => {
    const victim = await newVictim('reserved', 'repo~a', 'org');
    const withNames = (...names: string[]): Promise<string> =>
      victim.signedNext('org', (draft) => {
        const custom = Object.fromEntries(names.map((name) => [name, 1]));
        draft.targets['a/v1'] = { ...entryOf('x'), custom: { list: [custom] } };
      });
    for (const names of [['\uff61', '\u{1f600}'], ['\u{1f600}'], ['\u00e9'], ['a', '\u007fb\u0080']]) {
      await victim.refuses({ org: await withNames(...names) }, malformed('CANONICAL'));
    }
    const outside = await victim.signedNext('org', (draft) => {
      draft['x-\u00e9'] = true;
    });
    await victim.refuses({ org: outside }, malformed('CANONICAL'));
    const root = victim.nextRoot((draft) => {
      draft['x-\u00e9'] = true;
    });
    const { rootSigner } = victim.owner;
    victim.owner.signers.set('root', rootSigner);
    await victim.refuses({ root: await victim.owner.sign('root', root) }, malformed('CANONICAL'));
    const inText = await victim.signedNext('org', (draft) => {
      draft.targets['a/v1'] = { ...entryOf('x'), custom: { note: 'caf\u00e9 \u{1f600}' } };
    });
    await victim.accepts({ org: inText });
  });

  /** Refused; that nothing changed is looked at once, after all of them. */
  async function refuses(victim: Victim, files: Record<string, string>, reason: string): Promise<void> {
    assertRefusal(await victim.client.publish(victim.slug, publication(files)), malformed(reason));
  }
});
