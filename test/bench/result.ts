/** One line of the benchmark: a figure, what it is measured against in the same run, and the budget of DESIGN section 7. */
export interface Result {
  readonly name: string;
  readonly value: number;
  readonly unit: 'ms' | 's' | 'us' | '/s' | 'repositories/s' | 'x' | 'requests' | 'MB' | '%';
  /** What the figure is compared with, in the same unit; absent where the budget is absolute. */
  readonly reference?: { readonly name: string; readonly value: number };
  /** value / reference, or reference / value where more is better: the budget says which way. */
  readonly ratio?: number;
  /** As DESIGN section 7 words it. */
  readonly budget?: string;
  /** Whether the budget holds; absent for a figure without one. */
  readonly ok?: boolean;
  readonly note?: string;
}

/** "At most `limit` times the reference." */
export function atMost(
  limit: number,
  result: Omit<Result, 'ratio' | 'budget' | 'ok'> & { reference: { name: string; value: number } },
): Result {
  const ratio = result.value / result.reference.value;
  return { ...result, ratio, budget: `<= ${limit}x`, ok: ratio <= limit };
}

function number(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

/** The results as an aligned table. */
export function table(results: readonly Result[]): string {
  const head = ['what', 'value', 'reference', 'ratio', 'budget', 'ok'];
  const rows = results.map(({ name, value, unit, reference, ratio, budget, ok, note }) => [
    name,
    `${number(value)} ${unit}`,
    reference === undefined ? '' : `${number(reference.value)} ${unit} (${reference.name})`,
    ratio === undefined ? '' : `${ratio.toFixed(2)}x`,
    budget ?? '',
    `${ok === undefined ? '' : ok ? 'yes' : 'NO'}${note === undefined ? '' : ` ${note}`}`,
  ]);
  return alignedTable([head, ...rows]);
}

/** Rows of cells, the first of them the head. */
export function alignedTable(all: readonly (readonly string[])[]): string {
  const [head = [], ...rows] = all;
  const widths = head.map((_, column) => Math.max(...all.map((row) => (row[column] ?? '').length)));
  const line = (row: readonly string[]) =>
    `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`;
  return [line(head), `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`, ...rows.map(line)].join(
    '\n',
  );
}
