/** What an import will do, and did, as a person and a program read it. Pure. */
import { keySetText } from '../approval.ts';
import type { Names } from '../key-id.ts';
import type { Outcome } from '../outcome.ts';
import { batchesOf } from './batch.ts';
import type { Change, Holder, Plan } from './plan.ts';
import { rateText, spanText } from './rate.ts';
import type { LeftOut } from './registry-images.ts';
import type { Imported } from './run.ts';
import type { Wanted } from './wanted.ts';

/** What is wanted and what has to be done for it. */
export interface Work {
  readonly tenant: string;
  readonly wanted: Wanted;
  readonly plan: Plan;
}

/** Lines of a kind that are shown; the rest is counted. */
const shownLines = 10;

export function holdersOf(changes: readonly Change[]): ReadonlySet<Holder> {
  return new Set(changes.map(({ holder }) => holder));
}

function counts({ changes, unchanged }: Plan): { added: number; updated: number; unchanged: number } {
  const updated = changes.filter(({ before }) => before !== undefined).length;
  return { added: changes.length - updated, updated, unchanged };
}

function changeText({ repository, path, target, before }: Change): string {
  const reference = path.slice(repository.length + 1);
  const name = `${repository}${reference === target.digest ? '@' : ':'}${reference}`;
  const what = `${target.digest}, ${target.length} bytes, ${target.custom.mediaType}`;
  return before === undefined ? `  + ${name}  ${what}` : `  ~ ${name}  ${before.slice(0, 19)} -> ${what}`;
}

function limited(lines: readonly string[], all: number): string[] {
  return all > lines.length ? [...lines, `  ... and ${all - lines.length} more`] : [...lines];
}

/** The first that say most: tags that move, new tags, digests. */
function firstOf(changes: readonly Change[]): readonly Change[] {
  const rank = ({ before, isTag }: Change): number => (before === undefined ? 1 : 0) + (isTag ? 0 : 2);
  const ranks = [0, 1, 2, 3].map((wanted) => {
    const found: Change[] = [];
    for (const change of changes) {
      if (found.length === shownLines) break;
      if (rank(change) === wanted) found.push(change);
    }
    return found;
  });
  return ranks.flat().slice(0, shownLines);
}

/** Names of a tenant below are not this one's to vouch for: nothing is missing. */
function isWhole(leftOut: readonly LeftOut[]): boolean {
  return leftOut.every(({ code }) => code === 'CHILD_TENANT');
}

function leftOutLines(leftOut: readonly LeftOut[]): string[] {
  const lines = leftOut.slice(0, shownLines).map(({ name, code }) => `  left out: ${name} (${code})`);
  return limited(lines, leftOut.length);
}

export function planText(
  { wanted, plan }: Work,
  leftOut: readonly LeftOut[],
  batches: number,
  names: Names | undefined,
): string {
  const { added, updated, unchanged } = counts(plan);
  const holders = [...holdersOf(plan.changes)];
  const roleLines = holders.slice(0, shownLines).map(({ lister, keySet, needsRoom, bitLength }) => {
    const split = needsRoom ? `; split into ${2 ** bitLength} bins` : '';
    const keys = names === undefined ? '' : `, ${keySetText(keySet, names)}`;
    return `  by role ${lister}${keys}${split}`;
  });
  return [
    `  ${wanted.repositories} repositories, ${wanted.images} images; entries: ${added} new, ${updated} with another content than now, ${unchanged} as they are`,
    ...limited(firstOf(plan.changes).map(changeText), plan.changes.length),
    ...leftOutLines(leftOut),
    ...limited(roleLines, holders.length),
    `  in ${batches} ${batches === 1 ? 'publication' : 'publications'}`,
  ].join('\n');
}

function summary(work: Work, leftOut: readonly LeftOut[]): object {
  const { tenant, wanted, plan } = work;
  const { repositories, images } = wanted;
  return { tenant, repositories, images, ...counts(plan), leftOut };
}

export function dryRun(work: Work, leftOut: readonly LeftOut[], maxBytes: number): Outcome {
  const { changes } = work.plan;
  const batches = batchesOf(changes, maxBytes).length;
  return {
    text: `Would be signed for tenant ${work.tenant}:\n${planText(work, leftOut, batches, undefined)}`,
    json: {
      ...summary(work, leftOut),
      dryRun: true,
      publications: batches,
      first: firstOf(changes).map(({ path, target, before }) => ({ path, digest: target.digest, before })),
    },
  };
}

export function nothingToDo(work: Work, leftOut: readonly LeftOut[]): Outcome {
  const { tenant, wanted } = work;
  const all = `all ${wanted.images} images of ${wanted.repositories} repositories`;
  return {
    ok: isWhole(leftOut),
    text: [`nothing to do: tenant ${tenant} vouches for ${all} already`, ...leftOutLines(leftOut)].join('\n'),
    json: { ...summary(work, leftOut), publications: [], proposals: [] },
  };
}

export function finished(
  work: Work,
  imported: Imported,
  leftOut: readonly LeftOut[],
  { repositories, elapsedMs }: { readonly repositories: number; readonly elapsedMs: number },
): Outcome {
  const { tenant, plan } = work;
  const { added, updated, skipped, waiting, proposals } = imported;
  const unchanged = plan.unchanged + imported.unchanged;
  const perSecond = (repositories * 1000) / elapsedMs;
  const lines = [
    `tenant ${tenant}: ${added} entries added, ${updated} changed, ${unchanged} as they were; ${repositories} repositories in ${spanText(elapsedMs)}, ${rateText(perSecond)} repositories/s`,
    ...(waiting === 0
      ? []
      : [`${waiting} entries wait for signatures, proposals ${proposals.join(', ') || 'of before'}`]),
    ...(skipped === 0 ? [] : [`${skipped} entries were signed by others meanwhile and left as they are`]),
    ...leftOutLines(leftOut),
  ];
  return {
    ok: isWhole(leftOut),
    text: lines.join('\n'),
    json: {
      ...summary(work, leftOut),
      ...imported,
      unchanged,
      seconds: elapsedMs / 1000,
      repositoriesPerSecond: perSecond,
    },
    hints: [
      ...(waiting === 0
        ? []
        : [`the others sign: mandate proposal list ${tenant}; once these are live run the import again`]),
      ...(skipped === 0 ? [] : ['run it again to see what differs now']),
    ],
  };
}
