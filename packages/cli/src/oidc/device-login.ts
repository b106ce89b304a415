/** A code that the person enters in a browser anywhere (RFC 8628). */
import type { Context } from '../context.ts';
import { CliError } from '../error.ts';
import { isSafeUrl, type OidcClient } from './client.ts';
import { issuerError, openIssuer } from './issuer.ts';
import { sessionOf, type OidcSession } from './session.ts';

/** @throws CliError LOGIN_DENIED, LOGIN_TIMEOUT, LOGIN_FAILED, UNREACHABLE */
export async function deviceLogin(
  context: Context,
  client: OidcClient,
  timeoutMs: number,
): Promise<OidcSession> {
  const { terminal } = context;
  const { library, configuration, parameters } = await openIssuer(context, client);
  if (configuration.serverMetadata().device_authorization_endpoint === undefined)
    throw new CliError('LOGIN_FAILED', `${client.issuer} has no login by code`, {
      next: 'log in on a machine with a browser, without --device',
    });
  const late = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  try {
    const device = await library.initiateDeviceAuthorization(configuration, { ...parameters });
    const { verification_uri: page, user_code: code } = device;
    // They are shown, so they must be what they look like.
    if (!isSafeUrl(page) || !/^[\x21-\x7e]{1,40}$/.test(code))
      throw new CliError('LOGIN_FAILED', `${client.issuer} answers no code that could be shown`);
    timer = setTimeout(() => late.abort(), Math.min(timeoutMs, device.expires_in * 1000));
    terminal.note(`Open ${page} in a browser and enter the code ${code}`);
    const { resource } = parameters;
    const tokens = await terminal.progress('waiting until the code is entered', () =>
      library.pollDeviceAuthorizationGrant(
        configuration,
        device,
        resource === undefined ? undefined : { resource },
        { signal: late.signal },
      ),
    );
    return await sessionOf(client, tokens, context.now());
  } catch (error) {
    throw issuerError(error, client.issuer);
  } finally {
    clearTimeout(timer);
  }
}
