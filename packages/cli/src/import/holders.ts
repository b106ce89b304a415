/** The roles that decide on what is wanted, and what none of this tenant can hold. */
import type { KeySet } from '@mandate/metadata';
import { CliError } from '../error.ts';
import { allAnchors } from '../signer/anchor.ts';
import { top, type Base, type Place } from '../signer/base.ts';
import { Draft } from '../signer/draft.ts';
import { listingOf, type Listing } from '../signer/listing.ts';
import { holderOfPath } from '../signer/walk.ts';
import type { LeftOut } from './registry-images.ts';
import type { Wanted, WantedEntry } from './wanted.ts';

/** Entries of one role, before they are compared. */
export interface Group {
  readonly place: Place;
  /** As its delegator says. */
  readonly keySet: KeySet;
  readonly listing: Listing;
  readonly entries: WantedEntry[];
}

/** Asked once for each repository: every path of one is decided on by the same role. */
class Holders {
  readonly groups: Map<string, Group> = new Map();
  readonly leftOut: LeftOut[] = [];
  readonly #draft: Draft;
  readonly #children: ReadonlySet<string>;
  readonly #byRepository = new Map<string, Group | string>();
  #refusal: unknown;

  constructor(draft: Draft, children: ReadonlySet<string>) {
    this.#draft = draft;
    this.#children = children;
  }

  async add(entry: WantedEntry): Promise<void> {
    const { repository } = entry;
    let group = this.#byRepository.get(repository);
    if (group === undefined) {
      group = await this.#groupOf(entry);
      this.#byRepository.set(repository, group);
      if (typeof group === 'string') this.leftOut.push({ name: repository, code: group });
    }
    if (typeof group !== 'string') group.entries.push(entry);
  }

  /** @returns why no role of this tenant can vouch for it, where none can */
  async #groupOf({ path }: WantedEntry): Promise<Group | string> {
    if (this.#children.has(path.split('/')[0] ?? '')) return 'CHILD_TENANT';
    try {
      const place = await holderOfPath(this.#draft, path);
      const known = this.groups.get(place.role);
      if (known !== undefined) return known;
      const keySet = await this.#draft.keySetOf(place);
      const group = { place, keySet, listing: await listingOf(this.#draft, place), entries: [] };
      this.groups.set(place.role, group);
      return group;
    } catch (error) {
      if (!(error instanceof CliError) || error.code !== 'NO_ROLE') throw error;
      this.#refusal ??= error;
      return error.code;
    }
  }

  /** @throws CliError NO_ROLE where nothing at all can be imported for want of a role */
  requireSome(): void {
    if (this.groups.size === 0 && this.#refusal !== undefined) throw this.#refusal;
  }
}

async function childrenOf(draft: Draft): Promise<ReadonlySet<string>> {
  const { delegations } = await draft.role(top);
  return delegations?.named('tenants') === undefined ? new Set() : new Set((await allAnchors(draft)).keys());
}

/** @throws CliError NO_ROLE where nothing at all can be imported for want of a role */
export async function holdersOf(wanted: Wanted, base: Base): Promise<Holders> {
  const draft = new Draft(base, 0);
  const holders = new Holders(draft, await childrenOf(draft));
  for (const entry of wanted.entries()) await holders.add(entry);
  holders.requireSome();
  return holders;
}
