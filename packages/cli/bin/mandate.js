#!/usr/bin/env node
// Finds a runtime and the program. Plain JavaScript that any Node can read, and nothing else happens here. What it imports
// every command pays for; the process is the global one, as its module looks into every corner of it.
import { existsSync } from 'node:fs';
import * as module from 'node:module';
import { isAbsolute, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const neededMajor = 24;
const major = Number(process.versions.node.split('.')[0]);

/** The runtime that a clone installs for its own scripts. */
function pinnedNode() {
  const name = process.platform === 'win32' ? 'node.exe' : 'node';
  const paths = ['../../../node_modules/node/bin/', '../node_modules/node/bin/'];
  return paths.map((path) => fileURLToPath(new URL(path + name, import.meta.url))).find(existsSync);
}

async function runWith(node) {
  const { spawn } = await import('node:child_process');
  const child = spawn(node, process.argv.slice(1), { stdio: 'inherit' });
  // A terminal sends Ctrl-C to both of us; a program that stops us stops only us.
  process.on('SIGINT', () => process.stdin.isTTY || child.kill('SIGINT'));
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  process.on('SIGHUP', () => child.kill('SIGHUP'));
  child.on('error', (error) => {
    process.stderr.write(`error: ${node} cannot be started: ${error.message}\n`);
    process.exitCode = 1;
  });
  child.on('exit', (code, signal) => {
    process.exitCode = code ?? (signal === 'SIGINT' ? 130 : 1);
  });
}

/** Compiled code is kept in the user's own cache, never in a folder that others can write to. */
function keepCompiledCode() {
  const { XDG_CACHE_HOME, HOME } = process.env;
  const cache = XDG_CACHE_HOME || (HOME && join(HOME, '.cache'));
  if (cache && isAbsolute(cache)) module.enableCompileCache(join(cache, 'mandate', 'code'));
}

async function runHere() {
  keepCompiledCode();
  const source = new URL('../src/main.ts', import.meta.url);
  if (!existsSync(source) || process.env['MANDATE_BUILT'] === '1') {
    await import('../dist/main.js');
    return;
  }
  // A clone runs its sources: every package of the workspace names them under this condition.
  module.registerHooks({
    resolve: (specifier, context, next) =>
      next(specifier, { ...context, conditions: ['mandate-source', ...context.conditions] }),
  });
  await import(source.href);
}

if (major >= neededMajor) {
  await runHere();
} else {
  const node = pinnedNode();
  if (node === undefined) {
    process.stderr.write(
      `error: mandate needs Node ${neededMajor} or newer, and this is ${process.versions.node}\n` +
        `hint: in a clone, run "npm ci" first; it brings the right one\n`,
    );
    process.exitCode = 1;
  } else {
    await runWith(node);
  }
}
