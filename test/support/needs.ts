/**
 * What a test needs beyond npm. A missing need skips the test and is listed, with its reason, at the end of the
 * run; with `MANDATE_CI=1` it fails instead, because there nothing may be skipped.
 */
import { accessSync, constants, existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { Context } from 'mocha';

const sharedData = new URL('../../../shared/data/', import.meta.url);

function onPath(program: string): boolean {
  return (process.env['PATH'] ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

const needsTable = {
  'shared-data': { met: () => existsSync(sharedData), why: 'real repositories (../shared/data) are absent' },
  postgres: {
    met: () => process.env['MANDATE_TEST_DATABASE_URL'] !== undefined,
    why: 'MANDATE_TEST_DATABASE_URL names no PostgreSQL server',
  },
  'docker-registry': {
    met: () => onPath('docker-registry'),
    why: 'the program docker-registry is not installed',
  },
  openssl: { met: () => onPath('openssl'), why: 'the program openssl is not installed' },
  skopeo: { met: () => onPath('skopeo'), why: 'the program skopeo is not installed' },
  go: { met: () => onPath('go'), why: 'the Go toolchain is not installed' },
  'python-tuf': {
    met: () => process.env['MANDATE_TEST_PYTHON'] !== undefined,
    why: 'MANDATE_TEST_PYTHON names no Python interpreter with the package tuf',
  },
} satisfies Record<string, { met: () => boolean; why: string }>;

export type Need = keyof typeof needsTable;

const skipped = new Map<string, number>();

/** Call first in a test or a `before` hook, with `this`. */
export function needs(context: Context, need: Need): void {
  const { met, why } = needsTable[need];
  if (met()) return;
  if (process.env['MANDATE_CI'] === '1') throw new Error(`not to be skipped here: ${why}`);
  skipped.set(why, (skipped.get(why) ?? 0) + 1);
  context.skip();
}

/** A file of the real repositories, after `needs(this, 'shared-data')`. */
export function sharedFile(path: string): URL {
  return new URL(path, sharedData);
}

export const mochaHooks = {
  afterAll(): void {
    for (const [why, count] of skipped) process.stdout.write(`  skipped (${count}): ${why}\n`);
  },
};
