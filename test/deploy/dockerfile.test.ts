import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

function textOf(path: string): string {
  return readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
}

/** Instructions with their continuation lines joined, comments left out. */
function instructionsOf(dockerfile: string): { instruction: string; rest: string }[] {
  return dockerfile
    .replace(/^#.*\n/gm, '')
    .replace(/\\\n\s*/g, '')
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => {
      const [, instruction = '', rest = ''] = /^(\w+)\s+(.*)$/.exec(line) ?? assert.fail(line);
      return { instruction, rest };
    });
}

describe('Dockerfile', () => {
  const instructions = instructionsOf(textOf('Dockerfile'));
  const all = (wanted: string): string[] =>
    instructions.filter(({ instruction }) => instruction === wanted).map(({ rest }) => rest);
  const argumentsOf = (wanted: string): string[] => JSON.parse(all(wanted).at(-1) ?? '[]');

  it('builds and runs on the Node version that the tests run on', () => {
    const { devDependencies }: { devDependencies: { node: string } } = JSON.parse(textOf('package.json'));
    const image = `node:${devDependencies.node}-bookworm-slim`;
    assert.deepEqual(all('FROM'), [`${image} AS build`, image]);
  });

  it('does not run as root', () => {
    assert.equal(all('USER').at(-1), 'node');
  });

  it('serves with the built command', () => {
    assert.deepEqual(argumentsOf('ENTRYPOINT'), ['node', 'packages/cli/dist/main.js']);
    assert.deepEqual(argumentsOf('CMD'), ['serve']);
  });

  it('asks /healthz for its health', () => {
    const [check = ''] = all('HEALTHCHECK');
    const command: string[] = JSON.parse(check.slice(check.indexOf('[')));
    assert.equal(command[0], 'node');
    assert.ok(command.at(-1)?.includes('/healthz'));
  });

  it('sends the engine what the build reads, and no more', () => {
    const lines = textOf('.dockerignore').split('\n');
    assert.ok(lines.includes('*'));
    const sent = lines.filter((line) => line.startsWith('!')).map((line) => line.slice(1));
    for (const name of ['package.json', 'package-lock.json', '.npmrc', 'packages', 'migrations']) {
      assert.ok(sent.includes(name), name);
    }
  });
});
