/** One run of a signer program: a request on its standard input, its whole standard output back. No shell, limits on time and size. */
import { spawn } from 'node:child_process';
import { SigningError } from './error.ts';
import type { ExecUri } from './exec-uri.ts';

const maxOutputBytes = 256 * 1024;
/** What programs need to run at all. Passphrases, tokens and database passwords in our environment are not among it. */
const usualVariables = [
  'PATH',
  'HOME',
  'USER',
  'LOGNAME',
  'LANG',
  'LC_ALL',
  'TZ',
  'TMPDIR',
  'SystemRoot',
  'SystemDrive',
  'windir',
  'USERPROFILE',
  'APPDATA',
  'LOCALAPPDATA',
  'TEMP',
  'TMP',
];

/**
 * The program's standard output. Its standard error is thrown away and repeated nowhere: it may hold what nobody should read.
 *
 * @throws SigningError `SIGNER_UNREACHABLE`, `SIGNER_TIMEOUT`, `SIGNER_FAILED`
 */
export async function runSigner(uri: ExecUri, request: string): Promise<string> {
  const child = spawn(uri.program, uri.args, {
    env: environmentFor(uri),
    shell: false,
    stdio: ['pipe', 'pipe', 'ignore'],
    windowsHide: true,
  });
  return new Promise<string>((resolve, reject) => {
    const output: Buffer[] = [];
    let outputBytes = 0;
    // A child of the program may hold the pipes open after its end, so they are closed here and not waited for.
    const end = (): void => {
      clearTimeout(timer);
      child.kill('SIGKILL');
      child.stdin.destroy();
      child.stdout.destroy();
      child.unref();
    };
    const fail = (error: SigningError): void => {
      end();
      reject(error);
    };
    const timer = setTimeout(() => {
      fail(
        new SigningError(
          'SIGNER_TIMEOUT',
          `${uri.text} gave no answer in ${uri.timeoutMs / 1000} seconds; give it longer with timeout=<seconds>, or see what it waits for`,
        ),
      );
    }, uri.timeoutMs);
    child.on('error', (cause) => {
      const next = 'is it installed, and may this user run it?';
      fail(new SigningError('SIGNER_UNREACHABLE', `cannot run ${uri.program}; ${next}`, { cause }));
    });
    // A program that ends without reading is judged by its answer and exit, not by the broken pipe.
    child.stdin.on('error', () => {});
    child.stdout.on('data', (chunk: Buffer) => {
      outputBytes += chunk.length;
      if (outputBytes > maxOutputBytes)
        fail(failed(uri, `wrote more than ${maxOutputBytes} bytes; an answer is one small JSON object`));
      else output.push(chunk);
    });
    child.on('close', (status, signal) => {
      clearTimeout(timer);
      if (status === 0) resolve(Buffer.concat(output).toString('utf8'));
      else reject(failed(uri, `ended with ${signal ?? `status ${status}`}; run it by hand to see why`));
    });
    child.stdin.end(request);
  });
}

export function failed(uri: ExecUri, what: string, options?: ErrorOptions): SigningError {
  return new SigningError('SIGNER_FAILED', `the signer ${uri.text} ${what}`, options);
}

function environmentFor(uri: ExecUri): Record<string, string> {
  const environment: Record<string, string> = {};
  for (const name of [...usualVariables, ...uri.env]) {
    const value = process.env[name];
    if (value !== undefined) environment[name] = value;
  }
  return environment;
}
