/** The chapter of tenants below tenants: a registry, acme, acme/labs, and an operator who turns against acme. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseTargetPath, sha256Of } from '@mandate/metadata';
import { fixedPassphrase, openSigner } from '@mandate/signing';
import { HostileOperator } from './hostile-operator.ts';
import { say, type RunningService, type Stage } from './stage.ts';

async function genesisOf(stage: Stage, tenant: string): Promise<string> {
  const { stdout } = await stage.quietly('tenant', 'show', tenant, '--json');
  return (JSON.parse(stdout) as { genesis: string }).genesis;
}

export async function playNesting(stage: Stage, service: RunningService): Promise<void> {
  say(
    '\nThe operator gives the registry a root of its own, and anchors acme, whose genesis acme said on the phone.',
  );
  const operator = stage.person('operator');
  await operator.quietly('login', service.url, '--token-file', service.tokenFile);
  await operator.run('key', 'generate', 'registry');
  await operator.run('tenant', 'create', '/', '--key', 'registry');
  const acme = await genesisOf(stage, 'acme');
  await operator.told('tenant', 'anchor', 'acme', '--genesis', acme);

  say('\nAcme makes a tenant below itself. It holds the keys that anchor it, so that happens at once.');
  await stage.run('tenant', 'create', 'acme/labs', '--key', 'release');
  await stage.run('delegate', 'acme/labs', '**', '--key', 'org');
  const tool = stage.file('tool', 'a tool of the labs');
  await stage.run('sign', '--tenant', 'acme/labs', '--name', 'tool:v1', tool);
  const lib = stage.file('lib', 'a library of acme');
  await stage.run('sign', '--tenant', 'acme', '--name', 'lib:v1', lib);

  await playPrivate(stage, operator, service);

  const front = await HostileOperator.start(service.url);
  try {
    await playReaders(stage, operator, service, front, { acme, tool, lib });
  } finally {
    front.stop();
  }
}

/** Acme's tenant that nobody may know of: the same question from who has a grant and from who has none. */
async function playPrivate(stage: Stage, operator: Stage, service: RunningService): Promise<void> {
  say('\nAcme makes a private tenant. No file of acme names it: its anchor is a file for its readers alone.');
  await stage.run('tenant', 'create', 'acme/hidden', '--key', 'release', '--private');
  await stage.run('delegate', 'acme/hidden', '**', '--key', 'org');
  const app = stage.file('app', 'an app that is not announced yet');
  const named = ['--tenant', 'acme/hidden', '--name', 'app:v1', app];
  await stage.run('sign', ...named);
  await stage.run('tenant', 'anchor', 'acme/hidden', '--private');
  const registry = ['trust', 'add', '/', '--url', service.url, '--genesis', await genesisOf(operator, '/')];
  const [rita, sam] = [stage.person('rita'), stage.person('sam')];
  await Promise.all([rita.quietly(...registry), sam.quietly(...registry)]);
  const created = await fetch(`${service.url}/v1/tokens`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${readFileSync(service.tokenFile, 'utf8').trim()}`,
      'content-type': 'application/json',
    },
    body: JSON.stringify({ label: 'rita', grants: [{ tenant: 'acme~hidden', level: 'reader' }] }),
  });
  const { token } = (await created.json()) as { token: string };
  await rita.quietly('login', service.url, '--token-file', stage.file('rita.token', token));
  say('Rita knows the root of the registry, and has a grant to read. Sam knows the root.');
  await rita.verdict('VERIFIED', ...named);
  await sam.verdict('NOT_SIGNED', ...named);
  say('To Sam it is as a tenant that nobody has:');
  await sam.verdict('NOT_SIGNED', '--tenant', 'acme/nobody', '--name', 'app:v1', app);
}

interface Things {
  readonly acme: string;
  /** Files. */
  readonly tool: string;
  readonly lib: string;
}

async function playReaders(
  stage: Stage,
  operator: Stage,
  service: RunningService,
  front: HostileOperator,
  { acme, tool, lib }: Things,
): Promise<void> {
  say('\nMia knows one thing, the root of the registry. Everything below is found through anchors.');
  const registry = await genesisOf(operator, '/');
  const trusting = [
    'trust',
    'add',
    '/',
    '--url',
    front.url,
    '--genesis',
    registry,
    '--allow-origin',
    service.url,
  ];
  const [mia, paul, nora] = [stage.person('mia'), stage.person('paul'), stage.person('nora')];
  await mia.run(...trusting);
  await mia.run('verify', '--tenant', 'acme/labs', '--name', 'tool:v1', tool);
  await mia.verdict('VERIFIED', '--tenant', 'acme', '--name', 'lib:v1', lib);
  say('\nPaul pins acme, and asks that the registry agrees. Alone, acme is enough.');
  await paul.run(
    'trust',
    'add',
    'acme',
    '--url',
    front.url,
    '--genesis',
    acme,
    '--allow-origin',
    service.url,
  );
  await paul.run(...trusting);
  await paul.verdict('VERIFIED', '--tenant', 'acme', '--name', 'lib:v1', lib, '--require-registry');

  say(
    '\nThe operator wants to vouch for an image of acme, and to give acme another root. The service refuses both.',
  );
  const fake = stage.file('fake', 'a library of the operator');
  await operator.quietly('delegate', '/', '**', '--key', 'registry');
  await operator.refused('MALFORMED', 'sign', '--tenant', '/', '--name', 'acme/lib:v2', fake);
  await operator.quietly('key', 'generate', 'fake');
  await operator.quietly('tenant', 'create', 'fake', '--key', 'fake', '--no-anchor');
  await operator.quietly('delegate', 'fake', '**', '--key', 'fake');
  await operator.quietly('sign', '--tenant', 'fake', '--name', 'lib:v2', fake);
  const url = `${service.url}/tuf/fake/metadata`;
  const genesis = await genesisOf(operator, 'fake');
  await operator.refused('MALFORMED', 'tenant', 'anchor', 'acme', '--genesis', genesis, '--url', url);

  say('\nSo the operator goes around the service, and signs a registry where acme is another tenant.');
  const key = await openSigner('registry', {
    keyFolder: join(stage.folder, 'config-operator', 'keys'),
    passphrase: fixedPassphrase(stage.environment['MANDATE_PASSPHRASE'] ?? ''),
  });
  const root = new Uint8Array(await (await fetch(`${url}/1.root.json`)).arrayBuffer());
  const named = ['--tenant', 'acme', '--name', 'lib:v2', fake];
  await front.forge(key, { root, metadataUrl: url, vouches: new Map() });
  say('Mia met acme before; Paul pinned it:');
  await mia.verdict('ROOT_REPLACED', ...named);
  await paul.verdict('NOT_SIGNED', ...named);
  await paul.verdict('ROOT_REPLACED', '--tenant', 'acme', '--name', 'lib:v1', lib, '--require-registry');
  say(
    'Nora is new. To her the registry is the root of trust, and what she is told says so; a policy can demand more:',
  );
  await nora.run(...trusting);
  await nora.run('verify', ...named);
  await nora.verdict('NO_TRUST_ROOT', ...named, '--pinned');

  say('\nOr a registry without acme, that lists its images itself.');
  const digest = sha256Of('a library of the operator');
  const target = { length: 'a library of the operator'.length, digest };
  const paths = ['acme/lib/v2', `acme/lib/${digest}`].map((path) => [parseTargetPath(path), target] as const);
  await front.forge(key, { root: undefined, metadataUrl: url, vouches: new Map(paths) });
  await mia.verdict('ROLLBACK', ...named);
  await paul.verdict('NOT_SIGNED', ...named);
  await paul.verdict('VERIFIED', '--tenant', 'acme', '--name', 'lib:v1', lib);
}
