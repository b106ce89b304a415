/**
 * Writes keys-example/ anew: `node --conditions=mandate-source test/keys-example/make.ts`. The keys are new each time, so
 * that their ids must be entered in the service again (packages/server/src/example-key.ts); the test beside this says so.
 */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { contextFrom, run, type Terminal } from '@mandate/cli';
import { roleFileName } from '@mandate/metadata';
import { defaultConfig, startServer } from '@mandate/server';

const folder = fileURLToPath(new URL('../../keys-example/', import.meta.url));
const passphrase = 'example';
const year = 365 * 86_400_000;

const quiet: Terminal = {
  interactive: false,
  result: () => undefined,
  note: () => undefined,
  hint: () => undefined,
  progress: (_what, work) => work(),
  counting: (work) => work(() => undefined),
  confirm: () => Promise.resolve(false),
  browse: () => Promise.resolve(),
  askPassphrase: () => Promise.resolve(undefined),
};

const work = mkdtempSync(join(tmpdir(), 'mandate-keys-example-'));
const server = await startServer({
  ...defaultConfig,
  port: 0,
  dataFolder: join(work, 'data'),
  logLevel: 'silent',
  // An example is looked at for years; a real timestamp is good for a day.
  timestampLifetimeMs: 15 * year,
  snapshotLifetimeMs: 15 * year,
});
const env = { HOME: work, MANDATE_CONFIG: join(work, 'config'), MANDATE_PASSPHRASE: passphrase };

async function mandate(...args: string[]): Promise<void> {
  const code = await run(args, contextFrom(env, quiet, '0.1.0'));
  if (code !== 0) throw new Error(`mandate ${args.join(' ')} ended with ${code}`);
}

const artifact = join(work, 'hello.txt');
writeFileSync(artifact, 'hello\n');
await mandate('login', server.url, '--token-file', server.operatorTokenFile ?? '');
await mandate('key', 'generate', 'example-release');
await mandate('key', 'generate', 'example-org');
await mandate('key', 'generate', 'example-ci', '--algorithm', 'ecdsa-p256');
const expiry = ['--expires', '15y'];
await mandate('tenant', 'create', 'example', '--key', 'example-release', '--root-expires', '15y', ...expiry);
await mandate('delegate', 'example', '**', '--key', 'example-org', ...expiry);
await mandate(
  'delegate',
  'example',
  'team/app',
  '--key',
  'example-org',
  '--key',
  'example-ci',
  '--threshold',
  '2',
  ...expiry,
);
await mandate('sign', '--tenant', 'example', '--name', 'tools/hello:1.0', artifact, ...expiry);
await mandate('sign', '--tenant', 'example', '--name', 'team/app:v1', artifact, ...expiry);

for (const part of ['keys', 'metadata']) {
  rmSync(join(folder, part), { recursive: true, force: true });
  mkdirSync(join(folder, part), { recursive: true });
}
cpSync(join(work, 'config', 'keys'), join(folder, 'keys'), { recursive: true });

const metadata = `${server.url}/tuf/example/metadata`;
async function keep(name: string): Promise<string> {
  const text = await (await fetch(`${metadata}/${name}`)).text();
  writeFileSync(join(folder, 'metadata', name), text);
  return text;
}
interface Listing {
  readonly signed: { readonly meta: Readonly<Record<string, { readonly version: number }>> };
}
const timestamp = JSON.parse(await keep('timestamp.json')) as Listing;
const snapshotVersion = timestamp.signed.meta['snapshot.json']?.version ?? 0;
const snapshot = JSON.parse(await keep(`${snapshotVersion}.snapshot.json`)) as Listing;
await keep('1.root.json');
for (const [name, { version }] of Object.entries(snapshot.signed.meta))
  await keep(`${version}.${roleFileName(name.replace(/\.json$/, ''))}`);
await server.close();
const names = ['example-release', 'example-org', 'example-ci'];
const ids = names.map(
  (name) =>
    (JSON.parse(readFileSync(join(folder, 'keys', `${name}.pub.json`), 'utf8')) as { keyid: string }).keyid,
);
process.stdout.write(`${ids.join('\n')}\n`);
rmSync(work, { recursive: true, force: true });
