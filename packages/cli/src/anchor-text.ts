/** Anchors as a person reads them before signing: everything that the entry says, and what changes in it. */
import { parseAnchor, segmentOfAnchor, type Anchor, type TargetFile } from '@mandate/metadata';
import type { ArtifactDifference } from './signer/difference.ts';

const knownMembers: ReadonlySet<string> = new Set(['genesis', 'metadataUrls', 'rootVersion', 'status']);

function parsed(target: TargetFile | undefined): Anchor | undefined {
  try {
    return target && parseAnchor(target);
  } catch {
    return undefined;
  }
}

function rest(target: TargetFile | undefined): string {
  const others = Object.entries(target?.custom ?? {}).filter(([name]) => !knownMembers.has(name));
  return others.length === 0 ? '' : `; also ${JSON.stringify(Object.fromEntries(others))}`;
}

function rootText({ rootVersion, rootDigest, rootLength }: Anchor): string {
  return `root ${rootVersion} (${rootDigest}, ${rootLength} bytes)`;
}

function changes(before: Anchor, after: Anchor): string[] {
  const moved = rootText(before) !== rootText(after);
  const places = [before, after].map(({ metadataUrls }) => metadataUrls.join(', '));
  return [
    ...(before.genesis === after.genesis
      ? []
      : [`ANOTHER GENESIS ${after.genesis}, before ${before.genesis}`]),
    ...(moved ? [`root ${before.rootVersion} -> ${rootText(after)}`] : []),
    ...(places[0] === places[1] ? [] : [`at ${places[1]}, before ${places[0]}`]),
    ...(before.status === after.status ? [] : [`${before.status} -> ${after.status}`]),
  ];
}

/** Undefined for what is no anchor, or says too little to be one: it is shown as any other entry then. */
export function anchorLine({ path, change, role, before, after }: ArtifactDifference): string | undefined {
  const segment = segmentOfAnchor(path);
  const [old, next] = [parsed(before), parsed(after)];
  if (segment === undefined || (after !== undefined && next === undefined)) return undefined;
  if (next === undefined) return `  - NO LONGER ANCHORS ${segment}  (role ${role})`;
  const others = rest(after);
  if (old === undefined) {
    const { genesis, metadataUrls, status } = next;
    return `  + anchors ${segment}: genesis ${genesis}, ${rootText(next)}, at ${metadataUrls.join(', ')}; ${status}${others}  (role ${role})`;
  }
  const says = changes(old, next);
  const what = change === 'moved' && says.length === 0 ? ['stays as it is'] : says;
  return `  ~ anchor of ${segment}: ${what.join('; ')}${others}  (role ${role})`;
}
