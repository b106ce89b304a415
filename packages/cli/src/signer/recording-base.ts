/** A base that notes which files it was asked for: what somebody else needs to verify the same base. */
import { servedName, type Digest, type Root, type Targets } from '@mandate/metadata';
import type { Base, Place } from './base.ts';

export class RecordingBase implements Base {
  readonly #base: Base;
  /** Served name to exact bytes. */
  readonly used: Map<string, Uint8Array> = new Map();

  constructor(base: Base) {
    this.#base = base;
  }

  get root(): Root {
    return this.#base.root;
  }

  get genesis(): Digest {
    return this.#base.genesis;
  }

  get roleCount(): number {
    return this.#base.roleCount;
  }

  async role(place: Place): Promise<Targets> {
    const file = await this.#base.role(place);
    const name = servedName(place.role, file.version);
    if (!this.used.has(name)) {
      this.used.set(name, file.envelope.bytes);
      if (place.from !== undefined) await this.role(place.from);
    }
    return file;
  }

  async preload(places: readonly Place[]): Promise<void> {
    await this.#base.preload(places);
  }

  listedVersion(role: string): number {
    return this.#base.listedVersion(role);
  }
}
