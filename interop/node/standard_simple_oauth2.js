'use strict';

// simple-oauth2: reads JSON out of every answer, a revocation's too, and takes anything else for a failure.

const { ClientCredentials } = require('simple-oauth2');
const { run, PLATFORM, APP, SECRET } = require('./checks');

run('simple-oauth2', async (checks) => {
  const client = (secret, authorizationMethod) =>
    new ClientCredentials({
      client: { id: APP, secret },
      auth: { tokenHost: PLATFORM, tokenPath: '/oauth2/token', revokePath: '/oauth2/revoke' },
      options: { authorizationMethod },
    });
  const authz = async (token) =>
    (await fetch(`${PLATFORM}/authz`, { headers: { authorization: `Bearer ${token}` } })).status;
  for (const [name, method] of [['Basic', 'header'], ['the form', 'body']]) {
    const held = await client(SECRET, method).getToken({});
    const { access_token: token, expires_in: left } = held.token;
    checks.that(`a token is obtained by ${name}`, left > 0 && !held.expired(), left);
    checks.that(`the token by ${name} is good`, (await authz(token)) === 204, token.length);
    await held.revoke('access_token');
    checks.that(`revocation by ${name} ends it`, (await authz(token)) === 401, token.length);
    try {
      await client(`${SECRET}x`, method).getToken({});
      checks.that(`a wrong secret by ${name} is refused`, false, 'no error');
    } catch (error) {
      const said = [error.output?.statusCode, error.data?.payload?.error];
      checks.that(`a wrong secret by ${name} is refused`, said.join() === '401,invalid_client', said);
    }
  }
});
