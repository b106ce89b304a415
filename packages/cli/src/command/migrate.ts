import type { Command } from 'commander';
import type { Context } from '../context.ts';
import type { Outcome } from '../outcome.ts';
import type { ActionWrapper } from '../program.ts';

export function register(program: Command, action: ActionWrapper): void {
  program
    .command('migrate')
    .description('Bring the tables of the PostgreSQL that DATABASE_URL names up to date, as their owner')
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      '\nExample:\n  $ mandate migrate\n\nDATABASE_URL is that of the owner. For a service whose own login may not do so: docs/operations.md. Otherwise every start of the service does it.\n',
    )
    .action(action(migrate));
}

async function migrate({ env }: Context): Promise<Outcome> {
  const { migrateSchema } = await import('@mandate/server');
  const version = await migrateSchema(env);
  return { text: `The tables are up to date: version ${version}`, json: { version } };
}
