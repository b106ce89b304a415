/**
 * What a test needs beyond npm. A missing need skips the test and is listed, with its reason, at the end of the
 * run; with `MANDATE_CI=1` it fails instead, because there nothing may be skipped. The one exemption is
 * `shared-data`: no program installs it, it lies beside a checkout or does not.
 */
import { existsSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { pathToFileURL } from 'node:url';
import type { Context } from 'mocha';
import { hasCommit, olderVersion } from '../deploy/older-service.ts';
import { hasPostgresServer } from './postgres.ts';
import { olderNode, onPath } from './program.ts';

/** Beside the checkout, unless a work tree that lies elsewhere says where. */
const sharedData =
  process.env['MANDATE_TEST_SHARED_DATA'] === undefined
    ? new URL('../../../shared/data/', import.meta.url)
    : pathToFileURL(`${process.env['MANDATE_TEST_SHARED_DATA']}/`);

/** The PKCS #11 library of SoftHSM2, where distributions put it. */
export function softhsmLibrary(): string | undefined {
  return [
    '/usr/lib/softhsm/libsofthsm2.so',
    '/usr/lib64/softhsm/libsofthsm2.so',
    '/usr/lib64/pkcs11/libsofthsm2.so',
    '/opt/homebrew/lib/softhsm/libsofthsm2.so',
    '/usr/local/lib/softhsm/libsofthsm2.so',
  ].find((path) => existsSync(path));
}

interface NeedEntry {
  readonly met: () => boolean;
  readonly why: string;
  /** Skipped even where nothing else may be. */
  readonly mayBeAbsent?: true;
}

/** An address of this machine in a private network, to listen on as a server that is not loopback. */
export function privateAddress(): string | undefined {
  return Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .map(({ address }) => address)
    .find((address) => /^(?:10\.|192\.168\.|172\.(?:1[6-9]|2\d|3[01])\.|fd[0-9a-f]{2}:)/u.test(address));
}

const needsTable = {
  'shared-data': {
    met: () => existsSync(sharedData),
    why: 'real repositories (../shared/data) are absent',
    mayBeAbsent: true,
  },
  postgres: {
    met: () => process.env['MANDATE_TEST_DATABASE_URL'] !== undefined,
    why: 'MANDATE_TEST_DATABASE_URL names no PostgreSQL server',
  },
  'postgres-server': {
    met: hasPostgresServer,
    why: 'the programs of a PostgreSQL server (initdb, pg_ctl) are not installed',
  },
  'git-history': {
    met: () => hasCommit(olderVersion),
    why: 'the history of this checkout is cut short or absent',
    mayBeAbsent: true,
  },
  'docker-registry': {
    met: () => onPath('docker-registry'),
    why: 'the program docker-registry is not installed',
  },
  'older-node': {
    met: () => olderNode() !== undefined,
    why: 'no Node older than 24 is installed besides the one in node_modules',
    mayBeAbsent: true,
  },
  script: {
    met: () => process.platform === 'linux' && onPath('script'),
    why: 'the program script, of the package bsdutils, which makes a terminal, is not installed',
  },
  openssl: { met: () => onPath('openssl'), why: 'the program openssl is not installed' },
  softhsm2: {
    met: () => onPath('softhsm2-util') && softhsmLibrary() !== undefined,
    why: 'the token in software, softhsm2, is not installed',
  },
  moto: {
    met: () => process.env['MANDATE_TEST_MOTO'] !== undefined,
    why: 'MANDATE_TEST_MOTO names no moto_server program, which plays AWS KMS',
  },
  skopeo: { met: () => onPath('skopeo'), why: 'the program skopeo is not installed' },
  curl: { met: () => onPath('curl'), why: 'the program curl is not installed' },
  promtool: {
    met: () => onPath('promtool'),
    why: 'the program promtool, of the package prometheus, is not installed',
  },
  'kubernetes-validate': {
    met: () => process.env['MANDATE_TEST_KUBERNETES_VALIDATE'] !== undefined,
    why: 'MANDATE_TEST_KUBERNETES_VALIDATE names no kubernetes-validate program',
  },
  caddy: { met: () => onPath('caddy'), why: 'the program caddy is not installed' },
  go: {
    met: () => process.env['MANDATE_TEST_GO_READER'] !== undefined || onPath('go'),
    why: 'the Go toolchain is not installed, and MANDATE_TEST_GO_READER names no built reader',
  },
  'python-tuf': {
    met: () => process.env['MANDATE_TEST_PYTHON'] !== undefined,
    why: 'MANDATE_TEST_PYTHON names no Python interpreter with the package tuf',
  },
  'private-address': {
    met: () => privateAddress() !== undefined,
    why: 'this machine has no private network address (10/8, 172.16/12, 192.168/16, fd00::/8)',
    mayBeAbsent: true,
  },
} satisfies Record<string, NeedEntry>;

export type Need = keyof typeof needsTable;

const skipped = new Map<string, number>();

/** Call first in a test or a `before` hook, with `this`. */
export function needs(context: Context, need: Need): void {
  const { met, why, mayBeAbsent }: NeedEntry = needsTable[need];
  if (met()) return;
  if (process.env['MANDATE_CI'] === '1' && mayBeAbsent !== true)
    throw new Error(`not to be skipped here: ${why}`);
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
