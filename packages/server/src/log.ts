/** Structured logs. What is logged is chosen field by field; headers and bodies never are. */
import { pino, type Logger } from 'pino';
import type { ServerConfig } from './config.ts';

export type { Logger };

/** JSON lines on standard error: standard output belongs to the command. */
export function createLogger(
  level: ServerConfig['logLevel'],
  destination: { write(line: string): void },
): Logger {
  return pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, destination);
}

/** An error's chain as text; our errors hold no secret, and of foreign ones only code and message are taken. */
export function describeError(error: unknown): {
  name: string;
  code?: string;
  message: string;
  cause?: unknown;
  stack?: string;
} {
  if (!(error instanceof Error)) return { name: 'unknown', message: String(error) };
  return {
    name: error.name,
    ...('code' in error && typeof error.code === 'string' ? { code: error.code } : {}),
    message: error.message,
    ...(error.cause === undefined ? {} : { cause: describeError(error.cause) }),
    ...(error.stack === undefined ? {} : { stack: error.stack }),
  };
}
