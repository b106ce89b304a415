/** A trust store that ends with the process. Its floors do too. */
import type { Digest } from '@mandate/metadata';
import { withChild } from './met-child.ts';
import type { MetChild, StoredTrust, TrustChange, TrustStore } from './store.ts';

export class MemoryStore implements TrustStore {
  #trust: StoredTrust = {
    revision: 0,
    root: undefined,
    timestamp: undefined,
    snapshot: undefined,
    roots: new Map<number, Digest>(),
    anchored: undefined,
  };
  #met: ReadonlyMap<string, MetChild> = new Map();
  readonly #roles = new Map<string, Uint8Array>();

  async load(): Promise<StoredTrust> {
    return this.#trust;
  }

  async revision(): Promise<number> {
    return this.#trust.revision;
  }

  async commit(revision: number, change: TrustChange): Promise<number | undefined> {
    if (revision !== this.#trust.revision) return undefined;
    this.#trust = { ...change, revision: revision + 1 };
    return revision + 1;
  }

  async role(name: string): Promise<Uint8Array | undefined> {
    return this.#roles.get(name);
  }

  async saveRole(name: string, bytes: Uint8Array): Promise<void> {
    this.#roles.set(name, bytes);
  }

  async met(): Promise<ReadonlyMap<string, MetChild>> {
    return this.#met;
  }

  async meet(segment: string, child: MetChild): Promise<void> {
    this.#met = withChild(this.#met, segment, child);
  }
}
