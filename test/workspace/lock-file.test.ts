/**
 * `npm ci` refuses a lock file that misses an entry for a platform other than the one it was written on, and npm
 * leaves such entries out when it cannot see their packages at that moment. So every one is counted here.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

interface LockedPackage {
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

describe('package-lock.json', () => {
  const text = readFileSync(new URL('../../package-lock.json', import.meta.url), 'utf8');

  it('has an entry for every optional dependency of every package', () => {
    const { packages }: { packages: Readonly<Record<string, LockedPackage>> } = JSON.parse(text);
    const locked = new Map(Object.entries(packages));
    const missing = [...locked].flatMap(([path, { optionalDependencies }]) =>
      Object.keys(optionalDependencies ?? {}).filter(
        (name) => !locked.has(`node_modules/${name}`) && !locked.has(`${path}/node_modules/${name}`),
      ),
    );
    assert.deepEqual(missing, []);
  });

  it('names no registry, so that any mirror serves it', () => {
    assert.equal(/"resolved": "https?:/.test(text), false);
  });
});
