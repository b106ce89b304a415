/** Signing what is there again, unchanged, so that it does not expire. */
import { binName } from '@mandate/metadata';
import type { Keyring } from '../keyring.ts';
import { below, top, type Place } from './base.ts';
import type { Draft } from './draft.ts';

async function binsOf(draft: Draft, place: Place): Promise<readonly Place[]> {
  const bins = (await draft.role(place)).delegations?.bins;
  if (bins === undefined) return [];
  return Array.from({ length: 2 ** bins.bitLength }, (_, i) => below(place, binName(bins, i)));
}

/** One role with its bins. */
export async function renewRole(draft: Draft, place: Place): Promise<void> {
  await draft.edit(place, (signed) => signed);
  const bins = await binsOf(draft, place);
  await draft.base.preload(bins);
  for (const bin of bins) await draft.edit(bin, (signed) => signed);
}

/** What is due and cannot be renewed by the keys at hand alone. */
export interface Left {
  /** Some of the role's keys are here: others are asked to sign with them. */
  readonly shared: readonly Place[];
  /** None are. */
  readonly elsewhere: readonly Place[];
}

/**
 * Every role that expires before `before`, as far as its keys are at hand.
 *
 * @param before milliseconds since the epoch
 */
export async function renewAll(
  draft: Draft,
  keyring: Pick<Keyring, 'has' | 'hasSome'>,
  before: number,
): Promise<Left> {
  const shared: Place[] = [];
  const elsewhere: Place[] = [];
  const visit = async (place: Place): Promise<void> => {
    const file = await draft.role(place);
    const due = file.expires < before;
    const keySet = await draft.keySetOf(place);
    if (due && (await keyring.has(keySet))) await draft.edit(place, (signed) => signed);
    else if (due) ((await keyring.hasSome(keySet)) ? shared : elsewhere).push(place);
    const named = file.delegations?.roles.map(({ name }) => below(place, name)) ?? [];
    const children = [...named, ...(await binsOf(draft, place))];
    await draft.base.preload(children);
    for (const child of children) await visit(child);
  };
  await visit(top);
  return { shared, elsewhere };
}
