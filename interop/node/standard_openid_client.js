'use strict';

// openid-client: finds the issuer by its metadata, and form-encodes Basic credentials to the letter (a hyphen is %2D).
// It also takes a browser through the authorization page, with PKCE, and looks who says that it was there (RFC 9207).

const { pathToFileURL } = require('node:url');
const { webcrypto } = require('node:crypto');
const { run, PLATFORM, APP, SECRET } = require('./checks');
const { REDIRECT, register, browsed } = require('./browser');

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

  await register();
  const app = await found(APP, SECRET, oauth.ClientSecretBasic);
  checks.that('the metadata names PKCE', app.serverMetadata().supportsPKCE(), app.serverMetadata());
  const [pkceCodeVerifier, other] = [oauth.randomPKCECodeVerifier(), oauth.randomPKCECodeVerifier()];
  const ask = {
    redirect_uri: REDIRECT,
    scope: 'auth_base',
    state: oauth.randomState(),
    code_challenge: await oauth.calculatePKCECodeChallenge(pkceCodeVerifier),
    code_challenge_method: 'S256',
  };
  const back = await browsed(oauth.buildAuthorizationUrl(app, ask));
  const grant = (verifier) =>
    oauth.authorizationCodeGrant(app, back, { pkceCodeVerifier: verifier, expectedState: ask.state });
  await checks.rejects('another verifier is refused', 'ResponseBodyError', 'OAUTH_RESPONSE_BODY_ERROR', () => grant(other));
  for (const [sentence, issuer] of [['nobody', null], ['somebody else', 'http://127.0.0.1:9']]) {
    const planted = new URL(back);
    if (issuer) planted.searchParams.set('iss', issuer);
    else planted.searchParams.delete('iss');
    await checks.rejects(`a code that ${sentence} says to have sent is refused`, 'ClientError', 'OAUTH_INVALID_RESPONSE', () =>
      oauth.authorizationCodeGrant(app, planted, { pkceCodeVerifier, expectedState: ask.state }));
  }
  const pair = await grant(pkceCodeVerifier);
  checks.that('the code is exchanged with its verifier', pair.expires_in > 0 && pair.refresh_token, pair);
  await checks.rejects('and only once', 'ResponseBodyError', 'OAUTH_RESPONSE_BODY_ERROR', () => grant(pkceCodeVerifier));
  const plain = oauth.buildAuthorizationUrl(app, { ...ask, code_challenge_method: 'plain' });
  const error = (await browsed(plain)).searchParams.get('error');
  checks.that('a plain challenge is told at the redirect URI', error === 'invalid_request', error);
});
