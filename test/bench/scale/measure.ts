/** What one size costs: readers and a signer with the real command, and the service alone through its API. */
import { median } from '../measure.ts';
import type { BenchService } from '../service.ts';
import { Machine, type Cost, type MachineOptions } from './machine.ts';
import type { Artifact, Subject } from './shape.ts';

/** By what was measured, unit included, in the order of the table. */
export type Measured = ReadonlyMap<string, number>;

export interface MeasureOptions extends Omit<MachineOptions, 'name' | 'token'> {
  /** Of every command; publications through the API are more. All are given as medians. */
  readonly rounds: number;
}

const publicationsPerRound = 5;

const parts: readonly (readonly [string, (cost: Cost) => number])[] = [
  ['requests', ({ paths }) => paths.length],
  ['KB fetched', ({ fetched }) => fetched / 1000],
  ['ms', ({ ms }) => ms],
  ['ms of processor time', ({ processorMs }) => processorMs],
  ['MB of memory', ({ peakBytes }) => peakBytes / 1e6],
];

function addCosts(measured: Map<string, number>, who: string, costs: readonly Cost[]): void {
  for (const [what, of] of parts) measured.set(`${who}: ${what}`, median(costs.map(of)));
}

/** Publications one after the other, and what each asked of the database: medians leave out what the service did beside it. */
async function measurePublications(
  subject: Subject,
  service: BenchService,
  rounds: number,
): Promise<Map<string, number>> {
  const count = rounds * publicationsPerRound;
  // What is done once: statements are prepared, heads and files are read.
  for (let i = 0; i < publicationsPerRound; i += 1) await subject.publish(count + i);
  const [times, statements, sent, received]: [number[], number[], number[], number[]] = [[], [], [], []];
  for (let i = 0; i < count; i += 1) {
    const before = await service.databaseUse();
    times.push((await subject.publish(i)).ms);
    const after = await service.databaseUse();
    statements.push(after.statements - before.statements);
    sent.push((after.sent - before.sent) / 1000);
    received.push((after.received - before.received) / 1000);
  }
  const measured = new Map([
    ['one publication: ms', median(times)],
    ['one publication: statements', median(statements)],
  ]);
  if (service.databaseUrl === undefined) return measured;
  return measured
    .set('one publication: KB to the database', median(sent))
    .set('one publication: KB from the database', median(received));
}

export async function measure(
  subject: Subject,
  service: BenchService,
  { rounds, ...options }: MeasureOptions,
): Promise<Measured> {
  const { pinned, changed, key } = subject;
  const trust = (machine: Machine, { path, genesis }: typeof pinned): Promise<Cost> =>
    machine.run('trust', 'add', path, '--url', service.url, '--genesis', genesis, '--no-check');
  const ask = (reader: Machine, { name, digest }: Artifact): Promise<Cost> =>
    reader.run('verify', '--tenant', pinned.path, '--name', name, digest);

  const publishing = await measurePublications(subject, service, rounds);

  const [cold, again, signed, behind]: [Cost[], Cost[], Cost[], Cost[]] = [[], [], [], []];
  const readers = Array.from({ length: rounds }, (_, i) => new Machine({ ...options, name: `reader${i}` }));
  for (const reader of readers) {
    await trust(reader, pinned);
    cold.push(await ask(reader, subject.artifact));
    again.push(await ask(reader, subject.artifact));
  }

  const [reader] = readers as [Machine];
  const signer = new Machine({ ...options, name: 'signer', token: service.token });
  await trust(signer, changed);
  await signer.importKey('owner', key);
  // The signer's first change fetches what later ones have; the reader sees it too.
  for (let i = 0; i <= rounds; i += 1) {
    const { command, artifact } = await subject.change(i);
    const cost = await signer.run(...command);
    const seen = await ask(reader, artifact);
    if (i === 0) continue;
    signed.push(cost);
    behind.push(seen);
  }

  const measured = new Map<string, number>();
  addCosts(measured, 'first verification', cold);
  addCosts(measured, 'again, nothing changed', again);
  addCosts(measured, 'again, after one change', behind);
  addCosts(measured, 'the command of one change', signed);
  measured.set('the command of one change: KB sent', median(signed.map(({ sent }) => sent / 1000)));
  for (const [what, value] of publishing) measured.set(what, value);
  return measured;
}
