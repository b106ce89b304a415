/** The `WWW-Authenticate` header (RFC 9110 section 11.6.1): a list of challenges, each a scheme with parameters. */
import { OciError } from './error.ts';
import { maxHeaderBytes } from './limits.ts';

export interface Challenge {
  /** Lower case: `bearer`, `basic`. */
  readonly scheme: string;
  /** Names in lower case, values unquoted. */
  readonly parameters: ReadonlyMap<string, string>;
}

const token = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
const quoted = '"(?:[\\t \\x21\\x23-\\x5b\\x5d-\\x7e\\x80-\\xff]|\\\\[\\t\\x20-\\x7e\\x80-\\xff])*"';
const parameterForm = new RegExp(
  `(${token})[ \\t]*=[ \\t]*(?:(${token})|(${quoted}))(?=[ \\t]*(?:,|$))`,
  'y',
);
const schemeForm = new RegExp(`(${token})(?=[ \\t]*(?:,|$)|[ ])`, 'y');
const token68Form = /[0-9A-Za-z._~+/-]+=*(?=[ \t]*(?:,|$))/y;
const separatorForm = /[ \t]*(?:,[ \t]*)*/y;

/**
 * Reads all challenges of all header lines.
 *
 * @throws {OciError} `MALFORMED`
 */
export function parseChallenges(lines: readonly string[]): Challenge[] {
  return lines.flatMap(parseLine);
}

function parseLine(line: string): Challenge[] {
  if (line.length > maxHeaderBytes) throw malformed('it is too long');
  const challenges: { scheme: string; parameters: Map<string, string> }[] = [];
  let at = 0;
  const take = (form: RegExp): RegExpExecArray | null => {
    form.lastIndex = at;
    const match = form.exec(line);
    if (match !== null) at = form.lastIndex;
    return match;
  };
  take(separatorForm);
  while (at < line.length) {
    const current = challenges.at(-1);
    // `name=value` belongs to the challenge before it; a name alone starts the next one.
    const parameter = current === undefined ? null : take(parameterForm);
    if (current !== undefined && parameter !== null) {
      const name = (parameter[1] ?? '').toLowerCase();
      if (current.parameters.has(name)) throw malformed(`the parameter ${name} comes twice`);
      current.parameters.set(name, parameter[2] ?? unquote(parameter[3] ?? ''));
    } else {
      const scheme = take(schemeForm);
      if (scheme === null) throw malformed('it does not follow the grammar');
      challenges.push({ scheme: (scheme[1] ?? '').toLowerCase(), parameters: new Map() });
      // After the space comes a parameter (next round), a bare token, or nothing.
      if (
        take(/ +/y) !== null &&
        !startsParameter(line, at) &&
        take(token68Form) === null &&
        !endsItem(line, at)
      ) {
        throw malformed('a comma is missing');
      }
    }
    take(separatorForm);
  }
  return challenges;
}

function startsParameter(line: string, at: number): boolean {
  parameterForm.lastIndex = at;
  return parameterForm.test(line);
}

function endsItem(line: string, at: number): boolean {
  return at === line.length || line[at] === ',';
}

function unquote(text: string): string {
  return text.slice(1, -1).replace(/\\(.)/gu, '$1');
}

function malformed(why: string): OciError {
  return new OciError('MALFORMED', `the registry's WWW-Authenticate header cannot be read: ${why}`);
}
