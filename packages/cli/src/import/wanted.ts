/**
 * What a tenant is to vouch for after an import: repositories, in each the references with what they stand for. A tag
 * stands beside the digest that it leads to, as `mandate sign` writes both.
 */
import { targetPath, type Digest, type NewTarget, type Repository, type TargetPath } from '@mandate/metadata';
import { CliError } from '../error.ts';

/** What a reference is to stand for. */
export interface WantedTarget extends NewTarget {
  readonly custom: { readonly mediaType: string };
}

export interface WantedImage {
  readonly repository: Repository;
  readonly tag: string | undefined;
  readonly digest: Digest;
  /** Bytes of the manifest. */
  readonly size: number;
  readonly mediaType: string;
}

/** One statement: a path and what it stands for. */
export interface WantedEntry {
  readonly repository: Repository;
  readonly path: TargetPath;
  readonly isTag: boolean;
  readonly target: WantedTarget;
}

/** Entries in one import: tags and digests. What one role with 4,096 bins of 64 KB can hold. */
const maxEntries = 1_000_000;

function sameWanted(a: WantedTarget, b: WantedTarget): boolean {
  return a.digest === b.digest && a.length === b.length && a.custom.mediaType === b.custom.mediaType;
}

export class Wanted {
  readonly #repositories = new Map<Repository, Map<string, WantedTarget>>();
  #entries = 0;
  #images = 0;

  /** Repositories that were named. */
  get repositories(): number {
    return this.#repositories.size;
  }

  /** Tags and bare digests. */
  get images(): number {
    return this.#images;
  }

  /**
   * @returns false where something else was added under the same tag or digest before; then nothing is added
   * @throws CliError LIMIT_EXCEEDED
   */
  add({ repository, tag, digest, size, mediaType }: WantedImage): boolean {
    const references = this.#repositories.get(repository) ?? new Map<string, WantedTarget>();
    const target: WantedTarget = references.get(digest) ?? { length: size, digest, custom: { mediaType } };
    const same: WantedTarget = { length: size, digest, custom: { mediaType } };
    if (!sameWanted(target, same)) return false;
    const known = tag === undefined ? undefined : references.get(tag);
    if (known !== undefined && !sameWanted(known, same)) return false;
    const before = references.size;
    references.set(digest, target);
    if (tag !== undefined) references.set(tag, target);
    this.#repositories.set(repository, references);
    this.#entries += references.size - before;
    if (references.size > before) this.#images += 1;
    if (this.#entries <= maxEntries) return true;
    throw new CliError('LIMIT_EXCEEDED', `more than ${maxEntries} tags and digests in one import`, {
      next: 'import parts of it: with several lists, or --registry host/path for each path',
    });
  }

  /** Repository by repository, in each the digests before the tags that lead to them. */
  *entries(): Generator<WantedEntry> {
    for (const [repository, references] of this.#repositories) {
      for (const isTag of [false, true]) {
        for (const [reference, target] of references) {
          if (isTag !== (reference !== target.digest)) continue;
          yield { repository, path: targetPath(repository, reference), isTag, target };
        }
      }
    }
  }
}
