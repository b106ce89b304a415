import assert from 'node:assert/strict';
import { text } from 'node:stream/consumers';
import { Liar } from './liar.ts';
import { useWorld, type Person } from './world.ts';

describe('cli: a service that a signer must not believe', () => {
  const world = useWorld();
  let liar: Liar;
  let alice: Person;
  let count = 0;
  let tenant: string;

  async function served(path: string): Promise<Buffer> {
    return Buffer.from(await (await fetch(`${world().url}${path}`)).arrayBuffer());
  }

  function sign(): string[] {
    return ['sign', '--tenant', tenant, '--name', 'x:1', alice.file('x', 'x')];
  }

  beforeEach(async () => {
    liar = await Liar.start(world().url);
    count += 1;
    tenant = `acme${count}`;
    alice = await world().operator('release', 'org');
    await alice.do('login', liar.url, '--token-file', world().tokenFile);
    await alice.do('tenant', 'create', tenant, '--key', 'release');
    await alice.do('delegate', tenant, '**', '--key', 'org');
    liar.published = 0;
  });

  afterEach(() => liar.stop());

  it('an older state is refused before anything is signed', async () => {
    const old = await served(`/tuf/${tenant}/metadata/timestamp.json`);
    await alice.do('sign', '--tenant', tenant, '--name', 'a:1', alice.file('a', 'a'));
    liar.published = 0;
    liar.lie = (path) =>
      Promise.resolve(path.endsWith('/timestamp.json') ? { status: 200, body: old } : undefined);
    await alice.fails('ROLLBACK', ...sign());
    assert.equal(liar.published, 0);
  });

  it('a forged role file is refused before anything is signed', async () => {
    liar.lie = async (path) => {
      if (!path.endsWith('.org.json')) return undefined;
      const body = Buffer.from(
        (await served(path)).toString().replace('"_type":"targets"', '"_type":"tarGets"'),
      );
      return { status: 200, body };
    };
    await alice.fails('MALFORMED', ...sign());
    assert.equal(liar.published, 0);
  });

  it('another tenant in its place is refused', async () => {
    const other = await world().tenant(`other${count}`);
    assert.ok(other);
    liar.lie = async (path) => {
      if (!path.startsWith('/tuf/')) return undefined;
      const real = await fetch(`${world().url}${path.replace(`/tuf/${tenant}/`, `/tuf/other${count}/`)}`);
      return { status: real.status, body: Buffer.from(await real.arrayBuffer()) };
    };
    await alice.fails('ROOT_REPLACED', ...sign());
    assert.equal(liar.published, 0);
  });

  it('a frozen clock: an expired timestamp is no base', async () => {
    alice.clockAheadMs = 30 * 86_400_000;
    await alice.fails('EXPIRED', ...sign());
    assert.equal(liar.published, 0);
  });

  it('an answer that never comes is asked for by the id of the publication', async () => {
    let asked = 0;
    liar.lie = async (path, request) => {
      if (path.includes('/v1/publications/')) asked += 1;
      if (request.method !== 'POST' || !path.endsWith('/publications')) return undefined;
      const { authorization = '' } = request.headers;
      const headers = { authorization, 'content-type': 'application/json' };
      await fetch(`${world().url}${path}`, { method: 'POST', headers, body: await text(request) });
      return { status: 502, body: Buffer.from('bad gateway') };
    };
    const { versions } = await alice.json<{ versions: Record<string, number> }>(...sign());
    assert.deepEqual(versions, { org: 2 });
    assert.ok(asked > 0);
    assert.equal(liar.published, 1);
  });

  it('a conflict that never ends is given up', async () => {
    const problem = { type: 'x', title: 'x', status: 409, detail: 'somebody was first', code: 'CONFLICT' };
    liar.lie = (path, request) =>
      Promise.resolve(
        request.method === 'POST' && path.endsWith('/publications')
          ? { status: 409, body: Buffer.from(JSON.stringify(problem)) }
          : undefined,
      );
    await alice.fails('CONFLICT', ...sign(), '--retry-for', '1s');
    assert.ok(liar.published > 3);
  });

  describe('a proposal that it forged', () => {
    interface Shown {
      difference: {
        artifacts: { path: string; change: string }[];
        members: { role: string; member: string }[];
        delegations: { role: string; change: string }[];
      };
      complete: boolean;
      junk: number;
      requirements: { distinct: number }[];
    }
    interface Proposed {
      files: { role: string; signed: string }[];
      signatures: { sig: string }[];
      requirements: { met: boolean; distinct: number }[];
      complete: boolean;
    }

    /** Lets the service tell something else of proposal 1. */
    function forge(edit: (proposal: Proposed) => void): void {
      liar.lie = async (path, request) => {
        if (request.method !== 'GET' || !path.endsWith('/proposals/1')) return undefined;
        const { authorization = '' } = request.headers;
        const real = await fetch(`${world().url}${path}`, { headers: { authorization } });
        const proposal = (await real.json()) as Proposed;
        edit(proposal);
        return { status: 200, body: Buffer.from(JSON.stringify(proposal)) };
      };
    }

    function editSigned(edit: (signed: string) => string): void {
      forge(({ files }) => {
        for (const file of files) file.signed = edit(file.signed);
      });
    }

    beforeEach(async () => {
      await alice.do('key', 'generate', 'second');
      await alice.do('delegate', tenant, '**', '--key', 'org', '--key', 'second', '--threshold', '2');
      await alice.do(...sign(), '--key', 'org');
    });

    it('is shown as its bytes say', async () => {
      editSigned((signed) => signed.replace('"x/1"', '"x/2"'));
      const { difference, junk, requirements } = await alice.json<Shown>('proposal', 'show', tenant, '1');
      assert.ok(difference.artifacts.some(({ path }) => path === 'x/2'));
      assert.ok(!difference.artifacts.some(({ path }) => path === 'x/1'));
      assert.equal(junk, 1);
      assert.equal(requirements[0]?.distinct, 0);
    });

    it('hides no member that nobody knows', async () => {
      editSigned((signed) => signed.replace(/}$/, ',"x-something":"else"}'));
      const { difference } = await alice.json<Shown>('proposal', 'show', tenant, '1');
      assert.deepEqual(difference.members, [{ role: 'org', member: 'x-something', after: 'else' }]);
      editSigned((signed) => signed.replace(/("length":1)(})/, '$1,"more":true$2'));
      const inTarget = await alice.json<Shown>('proposal', 'show', tenant, '1');
      assert.equal(inTarget.difference.members.length, 1);
    });

    it('is refused where no rule would let it be published', async () => {
      for (const [code, edit] of [
        ['OVERTAKEN', (signed: string) => signed.replace(/"version":3/, '"version":2')],
        [
          'MALFORMED',
          (signed: string) => signed.replace('"x-mandate-role":"org"', '"x-mandate-role":"repo~x"'),
        ],
        ['MALFORMED', (signed: string) => signed.replace('"x/1"', '"~policy/1"')],
        ['MALFORMED', (signed: string) => signed.replace(/,"version"/, ', "version"')],
      ] as const) {
        editSigned(edit);
        await alice.fails(code, 'proposal', 'show', tenant, '1');
        await alice.fails(code, 'proposal', 'sign', tenant, '1');
      }
    });

    it('is counted here: a service that calls it complete is not believed', async () => {
      forge((proposal) => {
        proposal.complete = true;
        for (const one of proposal.requirements) Object.assign(one, { met: true, distinct: 2 });
        for (const one of proposal.signatures) one.sig = '00'.repeat(64);
      });
      const shown = await alice.json<Shown>('proposal', 'show', tenant, '1');
      assert.equal(shown.complete, false);
      assert.equal(shown.requirements[0]?.distinct, 0);
      assert.equal(shown.junk, 1);
    });

    it('is told by a difference, a message and a list of signers that are not so: none is looked at', async () => {
      const honest = await alice.json<Shown>('proposal', 'show', tenant, '1');
      forge((proposal) => {
        Object.assign(proposal, {
          difference: { artifacts: [], delegations: [], members: [] },
          message: 'nothing of note',
          signed: { org: ['ab'.repeat(32), 'cd'.repeat(32)] },
        });
        for (const one of proposal.requirements)
          Object.assign(one, { signed: ['ab'.repeat(32)], missing: [] });
      });
      const shown = await alice.json<Shown>('proposal', 'show', tenant, '1');
      assert.deepEqual(shown.difference, honest.difference);
      assert.deepEqual(shown.requirements, honest.requirements);
      assert.equal(shown.complete, false);
      const { stdout } = await alice.do('proposal', 'show', tenant, '1');
      assert.ok(stdout.includes('x/1'));
      assert.ok(!stdout.includes('abababab'));
    });

    it('hides a signature: the signer sees one less, and what was handed in stays', async () => {
      forge((proposal) => proposal.signatures.splice(0));
      const shown = await alice.json<Shown>('proposal', 'show', tenant, '1');
      assert.deepEqual([shown.requirements[0]?.distinct, shown.junk], [0, 0]);
      // Signing again what was signed before does no harm; the missing one makes it whole.
      const signed = await alice.json<{ state: string }>('proposal', 'sign', tenant, '1', '--key', 'second');
      assert.equal(signed.state, 'published');
    });

    it('gets a signature over what it showed, which counts for nothing else', async () => {
      const handedIn: { keyId: string; sig: string }[] = [];
      editSigned((signed) => signed.replace('"x/1"', '"x/2"'));
      const told = liar.lie;
      liar.lie = async (path, request) => {
        if (request.method !== 'POST' || !path.endsWith('/signatures')) return told(path, request);
        const { authorization = '' } = request.headers;
        const body = await text(request);
        handedIn.push(...(JSON.parse(body) as { signatures: typeof handedIn }).signatures);
        const real = await fetch(`${world().url}${path}`, {
          method: 'POST',
          headers: { authorization, 'content-type': 'application/json' },
          body,
        });
        return { status: real.status, body: Buffer.from(await real.arrayBuffer()) };
      };
      await alice.fails('MALFORMED', 'proposal', 'sign', tenant, '1', '--key', 'second');
      assert.equal(handedIn.length, 1);
      liar.lie = () => Promise.resolve(undefined);
      const shown = await alice.json<Shown>('proposal', 'show', tenant, '1');
      assert.deepEqual([shown.requirements[0]?.distinct, shown.junk], [1, 0]);
    });

    it('on an older base is refused', async () => {
      const old = await served(`/tuf/${tenant}/metadata/timestamp.json`);
      await alice.do('delegate', tenant, 'other', '--key', 'org');
      liar.lie = (path) =>
        Promise.resolve(path.endsWith('/timestamp.json') ? { status: 200, body: old } : undefined);
      await alice.fails('ROLLBACK', 'proposal', 'sign', tenant, '1', '--key', 'second');
    });
  });
});
