/** The way to a tenant below another, each tenant on it brought up to date. */
import type { FoundAnchor } from './children.ts';
import { descend, type Lineage } from './lineage.ts';
import type { Updater } from './updater.ts';
import type { View } from './view.ts';

/** Where views come from; by default from memory, or from the repository where a refresh is due. */
type ViewOf = (tenant: Updater) => Promise<View>;

/**
 * Follows anchors for as long as the path has any.
 *
 * @param path segments below `start`; empty for `start` itself
 * @param now milliseconds since the epoch
 * @throws MetadataError, ClientError.
 */
export async function reach(
  start: Updater,
  path: string,
  now: number,
  viewOf: ViewOf = (tenant) => tenant.view(now),
): Promise<Lineage> {
  const views = new Map<Updater, View>();
  const makeView = async (tenant: Updater): Promise<void> => void views.set(tenant, await viewOf(tenant));
  for (;;) {
    const answer = descend(start, path, (tenant) => views.get(tenant), makeView, now);
    if (!('prepare' in answer)) return answer;
    await answer.prepare();
  }
}

/**
 * The anchor of the tenant at this path, which itself is not opened, and not met.
 *
 * @param now milliseconds since the epoch
 * @returns undefined where it, or a tenant above it, is not anchored or is shut
 * @throws MetadataError, ClientError.
 */
export async function anchorAt(
  start: Updater,
  path: string,
  now: number,
  viewOf?: ViewOf,
): Promise<FoundAnchor | undefined> {
  const at = path.lastIndexOf('/');
  const { ancestors, last, repository } = await reach(start, path.slice(0, Math.max(0, at)), now, viewOf);
  const isShut = ancestors.at(-1)?.updater === last.updater;
  if (repository !== '' || isShut) return undefined;
  for (;;) {
    const answer = last.updater.children.ask(last.view, path.slice(at + 1), now);
    if (!('prepare' in answer)) return answer.found;
    await answer.prepare();
  }
}
