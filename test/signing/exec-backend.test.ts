import assert from 'node:assert/strict';
import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { fixedPassphrase, openSigner, signMetadata, type Signer } from '@mandate/signing';
import { passphrase, privateKey, privateKeys, rejectsWith, withFolder } from './key-fixture.ts';

const reference = fileURLToPath(new URL('../../examples/exec-signer/signer.mjs', import.meta.url));
const message = Buffer.from('{"_type":"targets"}');

/** `exec:` over this Node, with these arguments. */
function nodeUri(args: readonly string[], more = ''): string {
  const words = args.map((word) => `arg=${encodeURIComponent(word)}`).join('&');
  return `exec:${encodeURI(process.execPath)}?${words}${more}`;
}

async function open(uri: string): Promise<Signer> {
  return openSigner(uri, { keyFolder: '/nonexistent', passphrase: fixedPassphrase(passphrase) });
}

async function saveKeys(folder: string, kinds: readonly string[]): Promise<string[]> {
  return Promise.all(
    kinds.map(async (kind) => {
      const path = join(folder, `${kind}.pem`);
      await writeFile(path, privateKey(kind).export({ format: 'pem', type: 'pkcs8' }), { mode: 0o600 });
      return path;
    }),
  );
}

/** A signer that is a few lines of our own. `request` is what it was asked, `wire` a true description of its key. */
async function withHostile(code: string, work: (uri: string) => Promise<void>): Promise<void> {
  await withFolder(async (folder) => {
    const [key = ''] = await saveKeys(folder, ['ed25519']);
    const wire = (await open(nodeUri([reference, key]))).publicKey.wire;
    const program = join(folder, 'hostile.mjs');
    const lines = [
      `import { text } from 'node:stream/consumers';`,
      `const request = JSON.parse(await text(process.stdin));`,
      `const say = (answer) => process.stdout.write(JSON.stringify({ mandateSigner: 1, ...answer }));`,
      `const wire = ${JSON.stringify(wire)};`,
      code,
    ];
    await writeFile(program, lines.join('\n'));
    await work(nodeUri([program, 'first word', '$(id)'], '&timeout=2'));
  });
}
const describes = `if (request.operation === 'describe') say({ keys: [wire] }); else `;

describe('signing: exec backend', () => {
  for (const kind of privateKeys.keys()) {
    it(`${kind}: the reference signer signs role files`, async () => {
      await withFolder(async (folder) => {
        const uri = nodeUri([reference, ...(await saveKeys(folder, [kind]))]);
        const signer = await open(uri);
        assert.equal(signer.uri, uri);
        assert.ok(signer.publicKey.verify(message, await signer.sign(message)));
        const large = { _type: 'targets', padding: 'x'.repeat(4_000_000) };
        assert.ok((await signMetadata(large, [signer])).length > 4_000_000);
      });
    });
  }

  it('chooses among several keys by the beginning of a key id', async () => {
    await withFolder(async (folder) => {
      const args = [reference, ...(await saveKeys(folder, [...privateKeys.keys()]))];
      await rejectsWith('KEY_AMBIGUOUS', open(nodeUri(args)));
      await rejectsWith('KEY_NOT_FOUND', open(nodeUri(args, `&key=${'0'.repeat(64)}`)));
      const [one = ''] = args.slice(1);
      const { keyId } = await open(nodeUri([reference, one]));
      const signer = await open(nodeUri(args, `&key=${keyId.slice(0, 16)}`));
      assert.equal(signer.keyId, keyId);
      assert.ok(signer.publicKey.verify(message, await signer.sign(message)));
    });
  });

  it('runs no shell, and gives the program only the usual variables and those that are named', async () => {
    const tell = `say({ error: { code: 'DENIED', message: JSON.stringify([process.argv.slice(2), Object.keys(process.env).filter((name) => name.startsWith('MANDATE'))]) } });`;
    process.env['MANDATE_EXEC_TEST_SECRET'] = 'secret';
    process.env['MANDATE_EXEC_TEST_NAMED'] = 'named';
    try {
      await withHostile(tell, async (uri) => {
        const { message: said } = await rejectsWith(
          'SIGNER_REFUSED',
          open(`${uri}&env=MANDATE_EXEC_TEST_NAMED`),
        );
        assert.ok(said.endsWith('[["first word","$(id)"],["MANDATE_EXEC_TEST_NAMED"]]'));
      });
      const named = `say({ error: { code: 'DENIED', message: process.env.MANDATE_EXEC_TEST_NAMED } });`;
      await withHostile(named, async (uri) => {
        const { message: said } = await rejectsWith(
          'SIGNER_REFUSED',
          open(`${uri}&env=MANDATE_EXEC_TEST_NAMED`),
        );
        assert.ok(said.endsWith('named'));
      });
    } finally {
      delete process.env['MANDATE_EXEC_TEST_SECRET'];
      delete process.env['MANDATE_EXEC_TEST_NAMED'];
    }
  });

  describe('hostile signers', () => {
    const opens = [
      ['hangs', 'await new Promise((r) => setTimeout(r, 1e6));', 'SIGNER_TIMEOUT'],
      ['says nothing', '', 'SIGNER_FAILED'],
      ['says garbage', `process.stdout.write('\\u0000ok {');`, 'SIGNER_FAILED'],
      ['answers twice', 'say({ keys: [wire] }); say({ keys: [wire] });', 'SIGNER_FAILED'],
      [
        'repeats a member',
        `process.stdout.write('{"mandateSigner":1,"keys":[],"keys":[]}');`,
        'SIGNER_FAILED',
      ],
      ['speaks another version', 'say({ mandateSigner: 2, keys: [wire] });', 'SIGNER_FAILED'],
      ['holds no key', 'say({ keys: [] });', 'SIGNER_FAILED'],
      ['describes no key', `say({ keys: [{ ...wire, scheme: 'none' }] });`, 'SIGNER_FAILED'],
      ['ends badly after an answer', 'say({ keys: [wire] }); process.exitCode = 3;', 'SIGNER_FAILED'],
      ['kills itself', `process.kill(process.pid, 'SIGKILL');`, 'SIGNER_FAILED'],
      ['reports an unknown error', `say({ error: { code: 'WHAT' } });`, 'SIGNER_FAILED'],
      ['reports an error that is none', `say({ error: 'no' });`, 'SIGNER_FAILED'],
      [
        'reports that it is offline',
        `say({ error: { code: 'UNAVAILABLE', message: 'x' } });`,
        'SIGNER_UNREACHABLE',
      ],
    ] as const;
    for (const [what, code, expected] of opens) {
      it(`one that ${what} does not open`, async () => {
        await withHostile(code, async (uri) => {
          await rejectsWith(expected, open(uri));
        });
      });
    }

    const signs = [
      ['signs something else', `say({ signature: Buffer.alloc(64).toString('base64') });`, 'BAD_SIGNATURE'],
      ['signs with no base64', `say({ signature: '!!' });`, 'SIGNER_FAILED'],
      ['signs nothing', `say({ signature: '' });`, 'SIGNER_FAILED'],
      ['denies', `say({ error: { code: 'DENIED', message: 'not today' } });`, 'SIGNER_REFUSED'],
      ['hangs', 'await new Promise((r) => setTimeout(r, 1e6));', 'SIGNER_TIMEOUT'],
      ['cannot sign so much', `say({ error: { code: 'TOO_LARGE', message: 'x' } });`, 'TOO_LARGE'],
    ] as const;
    for (const [what, code, expected] of signs) {
      it(`one that ${what} makes no signature`, async () => {
        await withHostile(describes + code, async (uri) => {
          await rejectsWith(expected, (await open(uri)).sign(message));
        });
      });
    }

    it('one that signs with another key makes no signature', async () => {
      const code = `{
        const { generateKeyPairSync, sign } = await import('node:crypto');
        const { privateKey } = generateKeyPairSync('ed25519');
        say({ signature: sign(null, Buffer.from(request.message, 'base64'), privateKey).toString('base64') });
      }`;
      await withHostile(describes + code, async (uri) => {
        await rejectsWith('BAD_SIGNATURE', (await open(uri)).sign(message));
      });
    });

    it('one that writes without end is stopped long before its time is over', async () => {
      const code = `const chunk = 'x'.repeat(65536); const on = () => { while (process.stdout.write(chunk)); process.stdout.once('drain', on); }; on();`;
      await withHostile(code, async (uri) => {
        const started = performance.now();
        await rejectsWith('SIGNER_FAILED', open(uri.replace('timeout=2', 'timeout=60')));
        assert.ok(performance.now() - started < 30_000);
      });
    });

    it('one whose child holds its output open is not waited for', async () => {
      const code = `const { spawn } = await import('node:child_process');
        spawn(process.execPath, ['-e', 'setTimeout(() => {}, 8000)'], { stdio: 'inherit' }).unref(); say({ keys: [wire] });`;
      await withHostile(code, async (uri) => {
        await rejectsWith('SIGNER_TIMEOUT', open(uri));
      });
    });

    it('what one writes to its standard error is repeated nowhere', async () => {
      await withHostile(`process.stderr.write('PIN 123456'); process.exitCode = 1;`, async (uri) => {
        const error = await rejectsWith('SIGNER_FAILED', open(uri));
        assert.ok(!`${error.stack}${JSON.stringify(error.cause)}`.includes('123456'));
      });
    });

    it('what one says to people reaches them as a short line of plain text', async () => {
      const code = `say({ error: { code: 'DENIED', message: '\\u001b[2J\\n\\u202e' + 'x'.repeat(9999) } });`;
      await withHostile(code, async (uri) => {
        const error = await rejectsWith('SIGNER_REFUSED', open(uri));
        assert.match(error.message, /^[ -~]*$/);
        assert.ok(error.message.length < uri.length + 300);
      });
    });
  });

  it('programs that are not there, or may not run, are reported', async () => {
    await rejectsWith('SIGNER_UNREACHABLE', open('exec:/nonexistent/signer'));
    await withFolder(async (folder) => {
      const program = join(folder, 'signer');
      await writeFile(program, await readFile(reference));
      await chmod(program, 0o600);
      await rejectsWith('SIGNER_UNREACHABLE', open(`exec:${program}`));
    });
  });

  it('refuses URIs that leave open what runs', async () => {
    const bad = [
      'exec:signer',
      'exec:./signer',
      'exec:bin/signer',
      'exec:/bin/x?other=1',
      'exec:/bin/x?arg',
      'exec:/bin/x?arg=%zz',
      'exec:/bin/x?arg=%00',
      'exec:/bin/x?timeout=0',
      'exec:/bin/x?timeout=601',
      'exec:/bin/x?timeout=1&timeout=2',
      'exec:/bin/x?key=xyz',
      'exec:/bin/x?env=A%3DB',
      `exec:/bin/x?${'arg=a&'.repeat(65).slice(0, -1)}`,
    ];
    for (const uri of bad) await rejectsWith('MALFORMED', open(uri));
  });
});
