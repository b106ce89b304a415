/** The chapter of three signers: one proposes, one signs, one has no network, and one loses a key. */
import { copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Artifacts } from './main.ts';
import { say, type RunningService, type Stage } from './stage.ts';

const role = 'safe';

export async function playCeremony(
  stage: Stage,
  service: RunningService,
  prefix: string,
  artifacts: Artifacts,
): Promise<void> {
  say('\nThree people, each with a machine and a key of their own. Carol’s machine has no network.');
  const [ann, ben, carol] = ['ann', 'ben', 'carol'].map((name) => stage.person(name)) as [
    Stage,
    Stage,
    Stage,
  ];
  const genesis = await genesisOf(stage);
  const trust = ['trust', 'add', 'acme', '--url', service.url, '--genesis', genesis, '--prefix', prefix];
  for (const [name, person] of [
    ['ann', ann],
    ['ben', ben],
    ['carol', carol],
  ] as const) {
    await person.run('key', 'generate', name);
    await person.run(...trust, ...(person === carol ? ['--no-check'] : []));
    const { stdout } = await person.quietly('key', 'export', name);
    writeFileSync(join(stage.folder, `${name}.pub.json`), stdout);
    if (person !== carol) await person.run('login', service.url, '--token-file', service.tokenFile);
  }

  say(
    '\nThe owner gives them a repository, two of three. Their first file needs two of them, so it is a proposal.',
  );
  const keys = ['ann', 'ben', 'carol'].flatMap((name) => ['--key', `${name}.pub.json`]);
  const first = await proposed(
    stage,
    'delegate',
    'acme',
    role,
    ...keys,
    '--threshold',
    '2',
    '--sign-with',
    'release',
  );
  await ann.run('proposal', 'sign', 'acme', first);
  await ben.run('proposal', 'sign', 'acme', first);

  say('\nAnn signs. Alone she is not enough: it becomes a proposal, and nothing is published yet.');
  await artifacts.put(`${role}:v1`, 'the safe');
  const second = await proposed(
    ann,
    'sign',
    ...artifacts.named(`${role}:v1`),
    '--message',
    'the safe, version 1',
  );
  await stage.verdict('NOT_SIGNED', ...artifacts.presented(`${role}:v1`));
  await ben.run('proposal', 'list', 'acme');
  await ben.run('proposal', 'show', 'acme', second);

  say(
    '\nBen is away. The proposal travels to Carol on a stick; she sees what it changes and signs, without network.',
  );
  await ann.run('proposal', 'export', 'acme', second, 'stick.json');
  copyFileSync(join(stage.folder, 'stick.json'), join(stage.folder, 'carol.json'));
  await carol.offline().told('proposal', 'sign-file', 'carol.json');
  say('Back on Ann’s machine, hers and Carol’s signature are two of three: it goes live by itself.');
  await ann.run('proposal', 'import', 'carol.json');
  await stage.verdict('VERIFIED', ...artifacts.presented(`${role}:v1`), '--min-threshold', '2');

  say('\nCarol loses her key. What hangs on it:');
  await stage.run('key', 'impact', 'carol.pub.json', 'acme');
  say('It is taken out everywhere; what stands is signed again by the two who are left.');
  const third = await proposed(stage, 'revoke', 'key', 'carol.pub.json', 'acme');
  await stage.run('status', 'acme');
  await ann.run('proposal', 'sign', 'acme', third);
  await ben.told('proposal', 'sign', 'acme', third);
  await stage.verdict('VERIFIED', ...artifacts.presented(`${role}:v1`), '--min-threshold', '2');
  await stage.run('key', 'impact', 'carol.pub.json', 'acme');
}

async function genesisOf(stage: Stage): Promise<string> {
  const { stdout } = await stage.quietly('tenant', 'show', 'acme', '--json');
  return (JSON.parse(stdout) as { genesis: string }).genesis;
}

/** Runs a command that must end as a proposal. @returns its number */
async function proposed(stage: Stage, ...args: string[]): Promise<string> {
  const { stdout } = await stage.run(...args);
  const number = /^proposal (\d+) /.exec(stdout)?.[1];
  if (number === undefined) stage.surprise('no proposal where signatures were missing');
  return number ?? '0';
}
