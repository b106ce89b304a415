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

/** Publications one after the other, and what each asked of the database, with what the service does beside it. */
async function measurePublications(
  subject: Subject,
  service: BenchService,
  rounds: number,
  measured: Map<string, number>,
): Promise<void> {
  const count = rounds * publicationsPerRound;
  // What is done once: statements are prepared, the first of a head.
  for (let i = 0; i < publicationsPerRound; i += 1) await subject.publish(count + i);
  const before = await service.databaseUse();
  const times: number[] = [];
  for (let i = 0; i < count; i += 1) times.push((await subject.publish(i)).ms);
  const after = await service.databaseUse();
  measured.set('one publication: ms', median(times));
  measured.set('one publication: statements', (after.statements - before.statements) / count);
  if (service.databaseUrl === undefined) return;
  measured.set('one publication: KB to the database', (after.sent - before.sent) / count / 1000);
  measured.set('one publication: KB from the database', (after.received - before.received) / count / 1000);
}

export async function measure(
  subject: Subject,
  service: BenchService,
  { rounds, ...options }: MeasureOptions,
): Promise<Measured> {
  const measured = new Map<string, number>();
  const { pinned, changed, key } = subject;
  const numbers = Array.from({ length: rounds }, (_, i) => i);
  const trusting = async (machine: Machine, { path, genesis }: typeof pinned): Promise<Machine> => {
    await machine.run('trust', 'add', path, '--url', service.url, '--genesis', genesis, '--no-check');
    return machine;
  };
  const ask = (reader: Machine, { name, digest }: Artifact): Promise<Cost> =>
    reader.run('verify', '--tenant', pinned.path, '--name', name, digest);

  const publishing = new Map<string, number>();
  await measurePublications(subject, service, rounds, publishing);

  const [cold, again, signed, behind]: [Cost[], Cost[], Cost[], Cost[]] = [[], [], [], []];
  let reader: Machine | undefined;
  for (const i of numbers) {
    reader = await trusting(new Machine({ ...options, name: `reader${i}` }), pinned);
    cold.push(await ask(reader, subject.artifact));
    again.push(await ask(reader, subject.artifact));
  }
  if (reader === undefined) return measured;

  const signer = await trusting(new Machine({ ...options, name: 'signer', token: service.token }), changed);
  await signer.importKey('owner', key);
  // The signer's first change fetches what later ones have; the reader sees it too.
  for (const i of [-1, ...numbers]) {
    const { command, artifact } = await subject.change(i + 1);
    const cost = await signer.run(...command);
    const seen = await ask(reader, artifact);
    if (i < 0) continue;
    signed.push(cost);
    behind.push(seen);
  }
  addCosts(measured, 'first verification', cold);
  addCosts(measured, 'again, nothing changed', again);
  addCosts(measured, 'again, after one change', behind);
  addCosts(measured, 'the command of one change', signed);
  measured.set('the command of one change: KB sent', median(signed.map(({ sent }) => sent / 1000)));
  for (const [what, value] of publishing) measured.set(what, value);
  return measured;
}
