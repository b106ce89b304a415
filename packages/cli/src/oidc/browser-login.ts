/** Authorization code with PKCE through the person's own browser (RFC 8252, RFC 7636). */
import type { Context } from '../context.ts';
import { CliError } from '../error.ts';
import { openCallback } from './callback.ts';
import { isSafeUrl, type OidcClient } from './client.ts';
import { issuerError, openIssuer } from './issuer.ts';
import { sessionOf, type OidcSession } from './session.ts';

/** Whether a page opened here would be seen by the person who runs the command. */
export function hasBrowser(env: Context['env'], platform: NodeJS.Platform = process.platform): boolean {
  if (env['SSH_CONNECTION'] || env['SSH_TTY']) return false;
  if (platform === 'darwin' || platform === 'win32') return true;
  return ['DISPLAY', 'WAYLAND_DISPLAY', 'BROWSER', 'WSL_DISTRO_NAME'].some((name) => Boolean(env[name]));
}

/** @throws CliError LOGIN_DENIED, LOGIN_TIMEOUT, LOGIN_FAILED, UNREACHABLE */
export async function browserLogin(
  context: Context,
  client: OidcClient,
  timeoutMs: number,
): Promise<OidcSession> {
  const { terminal } = context;
  const { library, configuration, parameters } = await openIssuer(context, client);
  const verifier = library.randomPKCECodeVerifier();
  const [state, nonce] = [library.randomState(), library.randomNonce()];
  const callback = await openCallback(state);
  let end = 'The login failed; the command says why. You may close this page.';
  try {
    const url = library.buildAuthorizationUrl(configuration, {
      ...parameters,
      redirect_uri: callback.redirectUri,
      code_challenge: await library.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
      state,
      nonce,
      // OpenID Connect Core 1.0, section 11: without it no refresh token.
      prompt: 'consent',
    });
    if (!isSafeUrl(url.origin))
      throw new CliError('LOGIN_FAILED', `${client.issuer} has its login page where nobody should log in`);
    terminal.note(`If no page opens, open this one:\n  ${url.href}`);
    await terminal.browse(url.href);
    const answer = await terminal.progress('waiting for the browser', () =>
      callback.answer(AbortSignal.timeout(timeoutMs)),
    );
    const { resource } = parameters;
    const tokens = await library.authorizationCodeGrant(
      configuration,
      answer,
      { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true },
      resource === undefined ? undefined : { resource },
    );
    const session = await sessionOf(client, tokens, context.now());
    end = 'Logged in. You may close this page.';
    return session;
  } catch (error) {
    throw issuerError(error, client.issuer);
  } finally {
    await callback.end(end);
  }
}
