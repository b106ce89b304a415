/** The version of service and canary. */
export const serverVersion = '0.1.0';
