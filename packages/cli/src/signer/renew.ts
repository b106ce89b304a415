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

/**
 * Every role that expires before `before`, as far as its keys are at hand.
 *
 * @param before milliseconds since the epoch
 * @returns roles that are due and whose keys are elsewhere
 */
export async function renewAll(
  draft: Draft,
  keyring: Pick<Keyring, 'has'>,
  before: number,
): Promise<{ readonly left: readonly string[] }> {
  const left: string[] = [];
  const visit = async (place: Place): Promise<void> => {
    const file = await draft.role(place);
    const due = file.expires < before;
    const hasKeys = await keyring.has(await draft.keySetOf(place));
    if (due && hasKeys) await draft.edit(place, (signed) => signed);
    else if (due) left.push(place.role);
    const named = file.delegations?.roles.map(({ name }) => below(place, name)) ?? [];
    const children = [...named, ...(await binsOf(draft, place))];
    await draft.base.preload(children);
    for (const child of children) await visit(child);
  };
  await visit(top);
  return { left };
}
