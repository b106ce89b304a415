/**
 * `npm run tour`: the story of the README, played against a real service process and a real registry, in under a minute.
 * Ends with exit code 1 if a verdict differs from what it should be.
 */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { nextVersion, parseTargets } from '@mandate/metadata';
import { fixedPassphrase, openSigner, signMetadata } from '@mandate/signing';
import { pushImage } from '../support/image.ts';
import { startRegistry, type RunningRegistry } from '../support/registry.ts';
import { onPath } from '../support/program.ts';
import { playCeremony } from './ceremony.ts';
import { playNesting } from './nesting.ts';
import { say, Stage, startService, type RunningService } from './stage.ts';

/** What the story is about: images in a registry, or plain files where no registry is installed. */
export interface Artifacts {
  /** Puts content under a name; again replaces it. */
  put(name: string, content: string): Promise<void>;
  /** The arguments that name it for sign, unsign and inspect. */
  named(name: string): string[];
  /** The arguments that name it for verify. */
  presented(name: string): string[];
  /** The arguments that name it by digest. */
  byDigest(name: string, digest: string): string[];
}

function images(host: string): Artifacts {
  const reference = (name: string): string => `${host}/acme/${name}`;
  return {
    put: async (name, content) => void (await pushImage(reference(name), content)),
    named: (name) => [reference(name)],
    presented: (name) => [reference(name)],
    byDigest: (name, digest) => [`${reference(name.split(':')[0] ?? '')}@${digest}`],
  };
}

function files(stage: Stage): Artifacts {
  const file = (name: string): string => join(stage.folder, name.replaceAll(/[/:]/g, '-'));
  const named = (name: string): string[] => ['--tenant', 'acme', '--name', name];
  return {
    put: (name, content) => Promise.resolve(void stage.file(name.replaceAll(/[/:]/g, '-'), content)),
    named: (name) => [...named(name), file(name)],
    presented: (name) => [...named(name), file(name)],
    byDigest: (name, digest) => [...named(name.split(':')[0] ?? ''), digest],
  };
}

async function play(
  stage: Stage,
  service: RunningService,
  prefix: string,
  artifacts: Artifacts,
): Promise<void> {
  say('\nA person logs in, makes keys, and creates a tenant. Its root is signed here, not by the service.');
  await stage.run('login', service.url, '--token-file', service.tokenFile);
  await stage.run('key', 'generate', 'release');
  await stage.run('key', 'generate', 'org');
  await stage.run('tenant', 'create', 'acme', '--key', 'release', '--prefix', prefix);

  say('\nOne org key is to vouch for every repository of the tenant.');
  await stage.run('delegate', 'acme', '**', '--key', 'org');

  say('\nSomething is published and signed; then anyone who trusts the tenant can verify it.');
  await artifacts.put('app:v1', 'hello from version 1');
  await stage.run('sign', ...artifacts.named('app:v1'));
  const { digest = '' } = await stage.verdict('VERIFIED', ...artifacts.presented('app:v1'));
  say('By digest, and held against the independent client tuf-js:');
  await stage.verdict('VERIFIED', ...artifacts.byDigest('app:v1', digest), '--cross-check');
  say('\nWho vouches for it, through which files, with which keys, and how fresh that is:');
  await stage.run('inspect', ...artifacts.named('app:v1').filter((argument) => !argument.startsWith('/')));

  say('\nSomebody replaces it under the same name.');
  await artifacts.put('app:v1', 'hello from an attacker');
  await stage.verdict('DIGEST_MISMATCH', ...artifacts.presented('app:v1'));

  say('\nSomething that nobody signed.');
  await artifacts.put('app:v2', 'hello from version 2');
  await stage.verdict('NOT_SIGNED', ...artifacts.presented('app:v2'));

  say('\nA repository that needs two people. One alone cannot sign, on this machine or around it.');
  await stage.run('key', 'generate', 'alice');
  await stage.run('key', 'generate', 'bob');
  await stage.run('delegate', 'acme', 'vault', '--key', 'alice', '--key', 'bob', '--threshold', '2');
  await artifacts.put('vault:v1', 'the vault');
  await stage.refused('NO_KEY', 'sign', ...artifacts.named('vault:v1'), '--key', 'alice', '--no-propose');
  const { stdout } = await stage.run('sign', ...artifacts.named('vault:v1'), '--key', 'alice');
  if (!stdout.startsWith('proposal 1 ')) stage.surprise('no proposal where a signature was missing');
  await stage.run('proposal', 'withdraw', 'acme', '1', '--message', 'both are here after all');
  stage.expect(
    'THRESHOLD_NOT_MET',
    await publishWithOneKey(stage, service),
    ', says the service to what alice alone signed',
  );
  await stage.verdict('NOT_SIGNED', ...artifacts.presented('vault:v1'));
  await stage.run('sign', ...artifacts.named('vault:v1'), '--key', 'alice', '--key', 'bob');
  await stage.verdict('VERIFIED', ...artifacts.presented('vault:v1'), '--min-threshold', '2');
  await stage.verdict('THRESHOLD_NOT_MET', ...artifacts.presented('vault:v1'), '--min-threshold', '3');

  say('\nA signature that was made to last three seconds.');
  await stage.run('key', 'generate', 'nightly');
  await stage.run('delegate', 'acme', 'nightly', '--key', 'nightly');
  await artifacts.put('nightly:today', 'a nightly build');
  await stage.run('sign', ...artifacts.named('nightly:today'), '--expires', '3s');
  await sleep(3_500);
  await stage.verdict('EXPIRED', ...artifacts.presented('nightly:today'));
  await stage.run('renew', 'acme', 'nightly', '--expires', '1d');
  await stage.verdict('VERIFIED', ...artifacts.presented('nightly:today'));

  say('\nA signature is taken back.');
  await stage.run('unsign', ...artifacts.named('vault:v1').filter((argument) => !argument.startsWith('/')));
  await stage.verdict('NOT_SIGNED', ...artifacts.presented('vault:v1'));

  await playCeremony(stage, service, prefix, artifacts);
  await playNesting(stage, service);

  say('\nEvery role, its expiry and its keys:');
  await stage.run('status', 'acme');

  say('\nThe service stops. What was verified before still answers, for as long as it is fresh.');
  const code = await service.stop();
  if (code !== 0) stage.surprise(`the service ended with ${code}`);
  await stage.verdict('UNREACHABLE', ...artifacts.byDigest('app:v1', digest));
  await stage.verdict('VERIFIED', ...artifacts.byDigest('app:v1', digest), '--offline');
}

/** Hands the service a next version that one of two needed keys signed. @returns the code of its refusal */
async function publishWithOneKey(stage: Stage, { url, tokenFile }: RunningService): Promise<string> {
  const role = 'repo~vault';
  const served = await fetch(`${url}/tuf/acme/metadata/1.${encodeURIComponent(role)}.json`);
  const file = parseTargets(new Uint8Array(await served.arrayBuffer()));
  const signer = await openSigner('alice', {
    keyFolder: join(stage.folder, 'config', 'keys'),
    passphrase: fixedPassphrase(stage.environment['MANDATE_PASSPHRASE'] ?? ''),
  });
  const signed = await signMetadata(nextVersion(file.envelope.signed, Date.now() + 86_400_000), [signer]);
  const response = await fetch(`${url}/v1/tenants/acme/publications`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${readFileSync(tokenFile, 'utf8').trim()}`,
      'content-type': 'application/json',
    },
    body: JSON.stringify({ id: randomUUID(), files: [{ role, metadata: Buffer.from(signed).toString() }] }),
  });
  const { code = `published with status ${response.status}` } = (await response.json()) as { code?: string };
  return code;
}

async function main(): Promise<number> {
  const began = performance.now();
  const stage = new Stage();
  let registry: RunningRegistry | undefined;
  try {
    say('The service starts, with an embedded database in a folder of its own.');
    const service = await startService(stage);
    if (onPath('docker-registry')) {
      say('A registry starts: docker-registry.');
      registry = await startRegistry();
    } else {
      say('The program docker-registry is not installed: the story is told with plain files.');
    }
    const host = registry === undefined ? undefined : `${registry.host}:${registry.port}`;
    const artifacts = host === undefined ? files(stage) : images(host);
    await play(stage, service, `${host ?? 'registry.example'}/acme`, artifacts);
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    if (stage.surprises.length > 0) {
      say(`\nNot as expected: ${stage.surprises.join('; ')}`);
      return 1;
    }
    say(`\nEvery one of ${stage.shown} verdicts and refusals as expected, in ${seconds} seconds.`);
    return 0;
  } finally {
    await registry?.stop();
    stage.remove();
  }
}

process.exitCode = await main();
