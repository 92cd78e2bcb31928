'use strict';

// openid-client: finds the issuer by its metadata, and form-encodes Basic credentials to the letter (a hyphen is %2D).

const { pathToFileURL } = require('node:url');
const { webcrypto } = require('node:crypto');
const { run, PLATFORM, APP, SECRET } = require('./checks');

globalThis.crypto ??= webcrypto; // Node 18 has it under another name

run('openid-client', async (checks) => {
  const oauth = await import(pathToFileURL(require.resolve('openid-client')));
  const found = (id, secret, prove) =>
    oauth.discovery(new URL(PLATFORM), id, undefined, prove(secret), {
      algorithm: 'oauth2',
      execute: [oauth.allowInsecureRequests],
    });
  for (const [name, prove] of [['Basic', oauth.ClientSecretBasic], ['the form', oauth.ClientSecretPost]]) {
    const app = await found(APP, SECRET, prove);
    const gateway = await found('gateway-sandbox', 'sandbox-gateway-secret', prove);
    const token = await oauth.clientCredentialsGrant(app);
    checks.that(`a token is obtained by ${name}`, token.token_type === 'bearer' && token.expires_in > 0, token);
    const told = await oauth.tokenIntrospection(gateway, token.access_token);
    checks.that(`introspection by ${name} names the app`, told.active && told.client_id === APP, told);
    await oauth.tokenRevocation(app, token.access_token);
    const after = await oauth.tokenIntrospection(gateway, token.access_token);
    checks.that(`revocation by ${name} ends it`, after.active === false, after);
    const wrong = await found(APP, `${SECRET}x`, prove);
    // A 401 comes with a challenge, which this client tells instead of the body's invalid_client.
    await checks.rejects(`a wrong secret by ${name} is challenged`, 'WWWAuthenticateChallengeError',
      'OAUTH_WWW_AUTHENTICATE_CHALLENGE', () => oauth.clientCredentialsGrant(wrong));
    await checks.rejects(`a dead refresh token by ${name} is refused`, 'ResponseBodyError', 'OAUTH_RESPONSE_BODY_ERROR', () =>
      oauth.refreshTokenGrant(app, 'dead'));
  }
});
