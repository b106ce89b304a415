/**
 * Notes the statements that the service sends to PostgreSQL while its tests run, and writes them to `statements.json`
 * when a version is released: `npm run record-statements`. `upgrade.test.ts` holds later schemas against them.
 */
import { writeFileSync } from 'node:fs';
import { Client } from 'pg';

export const statementsFile = new URL('statements.json', import.meta.url);

interface Sent {
  readonly text?: string;
}

type Query = (this: Client, sent: string | Sent, ...rest: readonly unknown[]) => unknown;

const texts = new Set<string>();

/** What reads or writes rows. The log of migrations is no business of a version. */
function isKept(text: string): boolean {
  return /^\s*(?:SELECT|INSERT|UPDATE|DELETE|WITH)\b/u.test(text) && !/\bschema_version\b|;/u.test(text);
}

/** Loaded by mocha. */
export const mochaHooks = {
  beforeAll(): void {
    const methods = Client.prototype as unknown as { query: Query };
    const before = methods.query;
    methods.query = function query(sent, ...rest) {
      const text = typeof sent === 'string' ? sent : sent.text;
      const { connectionParameters } = this as unknown as {
        connectionParameters: { application_name?: string };
      };
      const isService = connectionParameters.application_name?.startsWith('mandate') === true;
      if (isService && text !== undefined && isKept(text)) texts.add(text);
      return before.call(this, sent, ...rest);
    };
  },
  afterAll(): void {
    writeFileSync(statementsFile, `${JSON.stringify([...texts].sort(), null, 2)}\n`);
  },
};
