/** `npm run bench`: every budget of DESIGN section 7 beside its reference, as a table or, with `--json`, as JSON. */
import { cpus, totalmem } from 'node:os';
import { importBench } from './import.ts';
import { loadBench } from './load.ts';
import { orgsBench } from './orgs.ts';
import { publishBench } from './publish.ts';
import { coldBench } from './cold.ts';
import { processBench } from './process.ts';
import { table, type Result } from './result.ts';
import { thresholdsBench } from './thresholds.ts';
import { growthTables, scaleBench } from './scale.ts';
import { serveBench } from './serve.ts';
import { slowSignerBench } from './slow-signer.ts';
import { timingBench } from './timing.ts';
import { warmBench } from './warm.ts';

const parts: Readonly<Record<string, (now: number, quick: boolean) => Promise<Result[]>>> = {
  load: loadBench,
  orgs: orgsBench,
  warm: warmBench,
  cold: coldBench,
  process: processBench,
  serve: serveBench,
  publish: publishBench,
  thresholds: thresholdsBench,
  signer: slowSignerBench,
  timing: timingBench,
  import: importBench,
};

/** Shorter runs and smaller tenants, to see that everything still runs. */
const quick = process.argv.includes('--quick');
const json = process.argv.includes('--json');
const only = process.argv.slice(2).filter((word) => !word.startsWith('--'));
const now = Date.now();
const note = (line: string): void => {
  process.stderr.write(`bench: ${line}\n`);
};
const results: Result[] = [];
for (const [name, run] of Object.entries(parts)) {
  if (only.length > 0 && !only.includes(name)) continue;
  note(`${name} ...`);
  results.push(...(await run(now, quick)));
}
/** Takes a quarter of an hour, so only where it is asked for. */
const growth = only.includes('scale') ? await scaleBench({ quick, note }) : [];
const machine = `${cpus().length} x ${cpus()[0]?.model.trim() ?? 'unknown'}, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}`;
if (json) {
  process.stdout.write(`${JSON.stringify({ machine, results, growth }, undefined, 2)}\n`);
} else {
  process.stdout.write(`${machine}\n`);
  if (growth.length > 0) process.stdout.write(`\n${growthTables(growth)}\n`);
  if (results.length > 0) {
    const missed = results.filter(({ ok }) => ok === false).length;
    const budgets = missed === 0 ? 'every budget holds' : `budgets missed: ${missed}`;
    process.stdout.write(`\n${table(results)}\n\n${budgets}\n`);
  }
}
