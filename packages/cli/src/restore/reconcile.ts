/**
 * Brings one restored tenant forward: asks everybody who may have kept files for what the service misses, and sends it.
 * What was sent stays there, so that a run that was interrupted goes on where it was.
 */
import type { KeptFile, RestoredTenant, RestoreRefusal } from '@mandate/api';
import { segmentOfDetached, type Digest } from '@mandate/metadata';
import type { Service } from '../service.ts';
import type { Keeper, Wanted } from './kept.ts';

/** A file that the service refused. */
export interface RefusedFile extends RestoreRefusal {
  readonly from: string;
  readonly role: string;
  readonly version?: number;
}

export interface Reconciled {
  readonly tenant: RestoredTenant;
  /** Detached anchors that came back, `anchor~<child>`. No file of the tenant names these children. */
  readonly anchors: readonly { readonly role: string; readonly version: number }[];
  readonly refused: readonly RefusedFile[];
  /** Keepers that could not be asked. */
  readonly unreachable: readonly { readonly from: string; readonly detail: string }[];
}

/** In one request: bytes of the files as they are, and their number. */
const maxBatchBytes = 6_000_000;
const maxBatchFiles = 250;

interface Sent {
  readonly role: string;
  readonly bytes: Uint8Array;
}

/** A keeper that is behind is no liar: mirrors and clients lag. */
export function isAlarm({ reason }: RefusedFile): boolean {
  return reason !== 'OLDER' && reason !== 'VERSION';
}

export class Reconciliation {
  readonly #service: Service;
  readonly #keepers: readonly Keeper[];
  readonly #wanted: Wanted;
  readonly #refused = new Map<string, RefusedFile>();
  readonly #unreachable = new Map<string, string>();
  /** Versions by role. */
  readonly #anchors = new Map<string, number>();
  #tenant: RestoredTenant;

  constructor(
    service: Service,
    keepers: readonly Keeper[],
    tenant: RestoredTenant,
    children: readonly string[],
  ) {
    this.#service = service;
    this.#keepers = keepers;
    this.#wanted = { slug: tenant.slug, genesis: (tenant.genesis ?? '') as Digest, children };
    this.#tenant = tenant;
  }

  async run(): Promise<Reconciled> {
    if (this.#tenant.genesis !== undefined) {
      // One may have the root that another one's roots follow.
      while ((await this.#roots()) > 0);
      for (const keeper of this.#keepers) await this.#send(keeper, () => keeper.tops(this.#wanted));
      // A role that comes may delegate to others that are missing.
      for (let before = -1; before !== this.#lacking();) {
        before = this.#lacking();
        await this.#missing();
      }
      await this.#targets();
      // Their keys are those that the newest targets names.
      const known = new Set(this.#tenant.missing.map(({ role }) => role));
      if (!known.has('snapshot') && !known.has('targets'))
        for (const keeper of this.#keepers) await this.#send(keeper, () => keeper.anchors(this.#wanted));
    }
    return {
      tenant: this.#tenant,
      anchors: [...this.#anchors].map(([role, version]) => ({ role, version })),
      refused: [...this.#refused.values()],
      unreachable: [...this.#unreachable].map(([from, detail]) => ({ from, detail })),
    };
  }

  /** Changes with every file that helps: a role that came names others, at most as many as there are. */
  #lacking(): number {
    const { missing, recovered } = this.#tenant;
    return missing.length * 10_000 + recovered.length;
  }

  async #roots(): Promise<number> {
    let taken = 0;
    for (const keeper of this.#keepers) {
      const after = this.#tenant.rootVersion ?? 0;
      taken += await this.#send(keeper, async () =>
        (await keeper.roots(this.#wanted, after)).map((bytes) => ({ role: 'root', bytes })),
      );
    }
    return taken;
  }

  async #missing(): Promise<void> {
    for (const keeper of this.#keepers) {
      const { missing } = this.#tenant;
      let batch: Sent[] = [];
      let bytes = 0;
      const flush = async (): Promise<void> => {
        const files = batch;
        [batch, bytes] = [[], 0];
        if (files.length > 0) await this.#send(keeper, () => Promise.resolve(files));
      };
      for (const { role, version, sha256 } of missing) {
        const found = await this.#ask(keeper, () => keeper.role(this.#wanted, role, version, sha256));
        // Lost for good, or brought by its holders as a version of its own.
        if (found === undefined) continue;
        batch.push({ role, bytes: found });
        bytes += found.length;
        if (bytes > maxBatchBytes || batch.length >= maxBatchFiles) await flush();
      }
      await flush();
      if (this.#tenant.missing.length === 0) break;
    }
  }

  async #targets(): Promise<void> {
    for (const keeper of this.#keepers) {
      for (const { path, sha256 } of this.#tenant.missingTargets) {
        const bytes = await this.#ask(keeper, () => keeper.target(this.#wanted, path, sha256));
        if (bytes === undefined) continue;
        const targets = [{ path, content: Buffer.from(bytes).toString('base64') }];
        ({ tenant: this.#tenant } = await this.#service.keepFiles(this.#wanted.slug, { files: [], targets }));
      }
    }
  }

  /** Undefined where the keeper cannot be asked: the others still can. */
  async #ask<T>(keeper: Keeper, question: () => Promise<T>): Promise<T | undefined> {
    try {
      return await question();
    } catch (error) {
      this.#unreachable.set(keeper.name, error instanceof Error ? error.message : String(error));
      return undefined;
    }
  }

  /** @returns how many were taken */
  async #send(keeper: Keeper, collect: () => Promise<readonly Sent[]>): Promise<number> {
    const found = (await this.#ask(keeper, collect)) ?? [];
    let taken = 0;
    for (let i = 0; i < found.length; i += maxBatchFiles) {
      const files = found
        .slice(i, i + maxBatchFiles)
        .map(({ role, bytes }) => ({ role, metadata: Buffer.from(bytes).toString() }));
      const answer = await this.#service.keepFiles(this.#wanted.slug, { files });
      this.#tenant = answer.tenant;
      for (const file of answer.files) {
        if (file.outcome === 'taken') taken += 1;
        if (file.outcome === 'taken' && segmentOfDetached(file.role) !== undefined)
          this.#anchors.set(file.role, file.version ?? 0);
        if (file.outcome === 'refused') this.#refuse(keeper, file);
      }
    }
    return taken;
  }

  #refuse({ name }: Keeper, { role, version, refusal }: KeptFile): void {
    if (refusal === undefined) return;
    const known = version === undefined ? {} : { version };
    this.#refused.set(`${name} ${role} ${version ?? ''} ${refusal.reason ?? ''}`, {
      ...refusal,
      from: name,
      role,
      ...known,
    });
  }
}
