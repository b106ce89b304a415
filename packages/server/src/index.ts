/** The Mandate service. */
export { configFrom, defaultConfig, type Environment, type ServerConfig } from './config.ts';
export { ServerError, type InternalCode, type ServerCode } from './error.ts';
export { migrateSchema } from './schema.ts';
export { startServer, type RunningServer } from './server.ts';
export { serverVersion } from './version.ts';
