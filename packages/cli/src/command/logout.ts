import type { Command } from 'commander';
import type { Context } from '../context.ts';
import { removeLogin } from '../login.ts';
import type { Outcome } from '../outcome.ts';
import type { ActionWrapper } from '../program.ts';

export function register(program: Command, action: ActionWrapper): void {
  program
    .command('logout')
    .description('Forget the login for a service; a login at an issuer is revoked there, too')
    .argument('[url]', 'the service (default: the last login)')
    .option('--json', 'print JSON')
    .addHelpText('after', '\nExample:\n  $ mandate logout https://mandate.example\n')
    .action(action(logout));
}

async function logout(context: Context, wanted: string | undefined): Promise<Outcome> {
  const { url, credential, revoked } = await context.terminal.progress('logging out', () =>
    removeLogin(context, wanted),
  );
  const hint =
    credential.kind === 'oidc'
      ? `${credential.session.client.issuer} could not revoke the login: end the session there`
      : 'the token itself goes on; mandate token revoke <id> ends it';
  return {
    text: revoked ? `logged out of ${url}, and revoked at its issuer` : `logged out of ${url}`,
    json: { url, revoked },
    hints: revoked ? [] : [hint],
  };
}
