/**
 * What a person sees. Results go to stdout, everything else to stderr. Spinners, prompts and colours only where stderr
 * is a terminal, so that a script sees plain lines.
 */
import { styleText } from 'node:util';
import type { PassphrasePrompt } from '@mandate/signing';
import { CliError } from './error.ts';

export interface Terminal {
  /** A person is there to ask. */
  readonly interactive: boolean;
  result(text: string): void;
  /** A line on stderr. */
  note(text: string): void;
  /** `hint: ...`: what to do next. */
  hint(text: string): void;
  /** Shows that work is going on, when it goes on for a while. */
  progress<T>(what: string, work: () => Promise<T>): Promise<T>;
  /** Opens a page in the person's browser, or does nothing where that cannot be. */
  browse(url: string): Promise<void>;
  /** As `progress`, for work of many steps, which tells now and then how far it is. */
  counting<T>(work: (tell: (howFar: string) => void) => Promise<T>): Promise<T>;
  /** @returns false where nobody can be asked */
  confirm(question: string): Promise<boolean>;
  readonly askPassphrase: PassphrasePrompt;
}

/** Work that is done before this shows nothing. */
const spinnerDelayMs = 400;
/** Without a terminal, how far work is becomes a line this often. */
const lineEveryMs = 5_000;

/** A spinner on stderr that shows itself only once the work takes a while. */
class DelayedSpinner {
  #spinner: { text: string; stop(): unknown } | undefined;
  #text: string;
  #stopped = false;
  readonly #timer: NodeJS.Timeout;

  constructor(text: string) {
    this.#text = text;
    this.#timer = setTimeout(() => void this.#start(), spinnerDelayMs);
  }

  async #start(): Promise<void> {
    const { default: start } = await import('yocto-spinner');
    if (!this.#stopped) this.#spinner = start({ text: this.#text, stream: process.stderr }).start();
  }

  say(text: string): void {
    this.#text = text;
    if (this.#spinner !== undefined) this.#spinner.text = text;
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#spinner?.stop();
  }
}

/** The first line after one span, so that short work prints none. */
function lineNowAndThen(write: (line: string) => void): (line: string) => void {
  let last = performance.now();
  return (line) => {
    const now = performance.now();
    if (now - last < lineEveryMs) return;
    last = now;
    write(line);
  };
}

export function processTerminal(): Terminal {
  const { stdin, stdout, stderr } = process;
  const interactive = stdin.isTTY && stderr.isTTY;
  return {
    interactive,
    result: (text) => void stdout.write(text.endsWith('\n') ? text : `${text}\n`),
    note: (text) => void stderr.write(`${text}\n`),
    hint: (text) => void stderr.write(`${styleText('cyan', 'hint:', { stream: stderr })} ${text}\n`),
    async progress(what, work) {
      if (!stderr.isTTY) return work();
      const spinner = new DelayedSpinner(what);
      try {
        return await work();
      } finally {
        spinner.stop();
      }
    },
    async browse(url) {
      const { default: open } = await import('open');
      // The address is shown besides: whoever sees no page opens it.
      await open(url).then(
        (opener) => opener.on('error', () => {}),
        () => {},
      );
    },
    async counting(work) {
      if (!stderr.isTTY) return work(lineNowAndThen((line) => void stderr.write(`${line}\n`)));
      const spinner = new DelayedSpinner('');
      try {
        return await work((howFar) => spinner.say(howFar));
      } finally {
        spinner.stop();
      }
    },
    async confirm(question) {
      if (!interactive) return false;
      const { createInterface } = await import('node:readline/promises');
      const lines = createInterface({ input: stdin, output: stderr });
      try {
        return /^y(es)?$/i.test((await lines.question(`${question} [y/N] `)).trim());
      } finally {
        lines.close();
      }
    },
    async askPassphrase({ purpose, subject }) {
      if (!interactive) return undefined;
      const { default: password } = await import('@inquirer/password');
      const ask = async (message: string): Promise<string> =>
        password({ message, mask: false, toggleMask: false }, { output: stderr }).catch((cause: unknown) => {
          throw new CliError('NOT_CONFIRMED', 'stopped before a passphrase was given', { cause });
        });
      if (purpose !== 'create') return ask(`${purpose === 'pin' ? 'PIN' : 'Passphrase'} of ${subject}:`);
      for (;;) {
        const first = await ask(`New passphrase for ${subject}:`);
        if (first === (await ask('The same again:'))) return first;
        stderr.write('The two differ; once more.\n');
      }
    },
  };
}

/** Text in a colour, on a terminal that shows it. */
export function paint(colour: 'green' | 'red' | 'yellow' | 'dim' | 'bold', text: string): string {
  return styleText(colour, text, { stream: process.stdout });
}
