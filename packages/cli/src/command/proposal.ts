import type { Command } from 'commander';
import { addSigningOptions, collect } from '../option.ts';
import type { ActionWrapper } from '../program.ts';
import { exportProposal, importProposals, signFile } from './proposal-file.ts';
import { list, show } from './proposal-list.ts';
import { rebaseCommand, sign, withdraw } from './proposal-sign.ts';

export function register(program: Command, action: ActionWrapper): void {
  const proposal = program
    .command('proposal')
    .description('What waits for signatures: look at it, sign it here or without network, take it back');
  proposal.addHelpText(
    'after',
    '\nExample:\n  $ mandate proposal show acme 7\n  $ mandate proposal sign acme 7\n',
  );
  const service = (command: Command): Command =>
    command
      .option('--service <url>', 'the service (default: where the tenant is)')
      .option('--json', 'print JSON');
  const keys = (command: Command): Command =>
    command
      .option('--key <key>', 'sign with this key, by name or file:<path>; may be repeated', collect)
      .option('-y, --yes', 'do not ask before signing');
  const numbered = (name: string, what: string, example = `proposal ${name} acme 7`): Command =>
    proposal
      .command(name)
      .description(what)
      .argument('<tenant>', 'the tenant')
      .argument('<number>', 'the number of the proposal')
      .addHelpText('after', `\nExample:\n  $ mandate ${example}\n`);
  service(
    proposal
      .command('list')
      .description('Proposals that wait for signatures')
      .argument('[tenant]', 'the tenant (default: every one that is trusted)')
      .option('--all', 'the newest of all, whatever became of them'),
  )
    .addHelpText('after', '\nExample:\n  $ mandate proposal list acme\n')
    .action(action(list));
  service(
    numbered('show', 'What it changes, computed here from the bytes to be signed, and who signed'),
  ).action(action(show));
  keys(service(numbered('sign', 'Show what it changes, and sign it; at the threshold it goes live'))).action(
    action(sign),
  );
  service(numbered('withdraw', 'Take it back'))
    .option('-m, --message <text>', 'why, for the other signers')
    .action(action(withdraw));
  addSigningOptions(
    numbered('rebase', 'Make the same change on what is current; signatures are asked for anew'),
  ).action(action(rebaseCommand));
  service(
    numbered(
      'export',
      'Write it to a file that a machine without network can check and sign',
      'proposal export acme 7 seven.json',
    )
      .argument('<file>', 'the file to write')
      .option('--force', 'replace the file'),
  ).action(action(exportProposal));
  keys(
    proposal
      .command('sign-file')
      .description('Show what an exported proposal changes, and sign it; needs no network')
      .argument('<file>', 'the exported proposal; the signatures are added to it')
      .option('--out <file>', 'write another file instead')
      .option('--json', 'print JSON'),
  )
    .addHelpText('after', '\nExample:\n  $ mandate proposal sign-file seven.json --key carol\n')
    .action(action(signFile));
  service(
    proposal
      .command('import')
      .description('Hand in the signatures of files that came back; any number, in any order')
      .argument('<file...>', 'exported proposals that were signed'),
  )
    .addHelpText('after', '\nExample:\n  $ mandate proposal import seven-carol.json seven-dave.json\n')
    .action(action(importProposals));
}
