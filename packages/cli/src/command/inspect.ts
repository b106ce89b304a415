import type { Command } from 'commander';
import type { ActionWrapper } from '../program.ts';

export function register(_program: Command, _action: ActionWrapper): void {}
