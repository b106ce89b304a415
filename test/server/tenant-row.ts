/** Makes a row of any table for any tenant, from what the catalogue says of its columns. */
import { randomUUID } from 'node:crypto';
import type { Query } from './database.ts';

interface Column {
  readonly name: string;
  readonly type: string;
  readonly needed: boolean;
}

/** What constraints ask of a value, by column. */
const wanted: Readonly<Record<string, string>> = {
  level: `'owner'`,
  purpose: `'snapshot'`,
  sealed: `'\\x00'`,
};

const byType: Readonly<Record<string, (n: number) => string>> = {
  int8: String,
  int4: String,
  text: (n) => `'x${n}'`,
  bytea: () => `'\\x00'`,
  jsonb: () => `'{}'`,
  bool: () => 'false',
  uuid: () => `'${randomUUID()}'`,
  _text: () => `'{}'`,
};

async function columnsOf(query: Query, table: string): Promise<Column[]> {
  const rows = await query(
    `SELECT a.attname AS name, t.typname AS type,
       a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AS needed
     FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
     WHERE a.attrelid = $1::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`,
    [table],
  );
  return rows as unknown as Column[];
}

let count = 1_000_000;

/** The column that says whose a row is. */
export function holderColumn(table: string): string {
  return table === 'tenant' ? 'id' : 'tenant_id';
}

/** A statement that inserts a row which nothing else in the database is like. */
export async function insertRow(query: Query, table: string, tenantId: number): Promise<string> {
  count += 1;
  const holder = holderColumn(table);
  const chosen = (await columnsOf(query, table)).filter(
    ({ name, needed }) => needed || name === holder || name === 'sealed',
  );
  const values = chosen.map(({ name, type }) => {
    if (name === holder) return String(tenantId);
    const value = wanted[name] ?? byType[type]?.(count);
    if (value === undefined) throw new Error(`no value for ${table}.${name}, a ${type}`);
    return value;
  });
  const names = chosen.map(({ name }) => `"${name}"`).join(', ');
  return `INSERT INTO ${table} (${names}) OVERRIDING SYSTEM VALUE VALUES (${values.join(', ')})`;
}
