/** What a client, a signer and the service pay as tenants grow, for every shape and size; and how it grows. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Caller } from './owner.ts';
import { alignedTable } from './result.ts';
import { buildCommand } from './command.ts';
import { measure, type Measured } from './scale/measure.ts';
import { shapes, type Shape } from './scale/shape.ts';
import { startService } from './service.ts';

interface GrowthRow {
  readonly what: string;
  /** One for each size; undefined where it cannot be measured. */
  readonly values: readonly (number | undefined)[];
  /** A factor for ten times the size; or what each level adds. Undefined where there is nothing to compare. */
  readonly growth: number | undefined;
}

/** One shape: how each measure grows with the size. */
export interface Growth {
  readonly shape: string;
  readonly per: Shape['per'];
  readonly sizes: readonly number[];
  readonly rows: readonly GrowthRow[];
}

function growthOf(
  per: Shape['per'],
  sizes: readonly number[],
  values: readonly (number | undefined)[],
): number | undefined {
  const [first, last] = [values[0], values.at(-1)];
  const [from, to] = [sizes[0] ?? 0, sizes.at(-1) ?? 0];
  if (first === undefined || last === undefined || to <= from) return undefined;
  return per === 'level' ? (last - first) / (to - from) : (last / first) ** (1 / Math.log10(to / from));
}

export interface ScaleOptions {
  /** Small sizes, once each, with the command from its sources. */
  readonly quick: boolean;
  /** What is done, as it is done. */
  readonly note: (line: string) => void;
}

async function measureSize(shape: Shape, size: number, { quick, note }: ScaleOptions): Promise<Measured> {
  const folder = mkdtempSync(join(tmpdir(), 'mandate-scale-'));
  const service = await startService();
  const caller = new Caller(service, 16);
  const start = performance.now();
  const say = (what: string): void => {
    const seconds = ((performance.now() - start) / 1000).toFixed(1);
    note(`${size.toLocaleString('en')} ${shape.name}: ${what} after ${seconds} s`);
  };
  try {
    const subject = await shape.prepare(caller, size, service.url);
    say('made');
    const measured = await measure(subject, service, { folder, isBuilt: !quick, rounds: quick ? 1 : 3 });
    say('measured');
    return measured;
  } finally {
    await caller.close();
    await service.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

export async function scaleBench(options: ScaleOptions): Promise<Growth[]> {
  const { quick } = options;
  if (!quick) await buildCommand();
  const grown: Growth[] = [];
  for (const shape of shapes) {
    const sizes = quick ? shape.quickSizes : shape.sizes;
    const measured: Measured[] = [];
    // What is only to be seen to run needs no machine to itself.
    if (quick) measured.push(...(await Promise.all(sizes.map((size) => measureSize(shape, size, options)))));
    else for (const size of sizes) measured.push(await measureSize(shape, size, options));
    const rows = [...(measured[0]?.keys() ?? [])].map((what) => {
      const values = measured.map((one) => one.get(what));
      return { what, values, growth: growthOf(shape.per, sizes, values) };
    });
    grown.push({ shape: shape.name, per: shape.per, sizes, rows });
  }
  return grown;
}

function number(value: number | undefined): string {
  if (value === undefined) return '';
  return Number.isInteger(value) || value >= 100 ? value.toFixed(0) : value.toFixed(value >= 10 ? 1 : 2);
}

/** One table for each shape. */
export function growthTables(grown: readonly Growth[]): string {
  const tables = grown.map(({ shape, per, sizes, rows }) => {
    const head = [shape, ...sizes.map((size) => size.toLocaleString('en')), `for each ${per}`];
    const lines = rows.map(({ what, values, growth }) => {
      const factor =
        growth === undefined
          ? ''
          : per === 'level'
            ? `${growth < 0 ? '' : '+'}${growth.toFixed(1)}`
            : `${growth.toFixed(2)}x`;
      return [what, ...values.map(number), factor];
    });
    return alignedTable([head, ...lines]);
  });
  return tables.join('\n\n');
}
