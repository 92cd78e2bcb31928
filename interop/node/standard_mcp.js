'use strict';

// The Model Context Protocol's own SDK: from a protected resource's metadata (RFC 9728) it finds the issuer's, and names the
// resource (RFC 8707) in every request. It also takes a browser through the authorization page, with PKCE.

const http = require('node:http');
const { run, PLATFORM, APP, SECRET } = require('./checks');
const { REDIRECT, register, browsed } = require('./browser');
const { auth } = require('@modelcontextprotocol/sdk/client/auth.js');
const { ClientCredentialsProvider } = require('@modelcontextprotocol/sdk/client/auth-extensions.js');

// A server of the protocol, as far as a client without a token sees of it: whose tokens it takes.
function resource() {
  const server = http.createServer((asked, answer) => {
    const url = `http://127.0.0.1:${server.address().port}/mcp`;
    const isMetadata = asked.url.startsWith('/.well-known/oauth-protected-resource');
    answer.writeHead(isMetadata ? 200 : 404, { 'Content-Type': 'application/json' });
    answer.end(JSON.stringify({ resource: url, authorization_servers: [PLATFORM], scopes_supported: ['auth_base'] }));
  });
  return new Promise((ready) => server.listen(0, '127.0.0.1', () => ready(server)));
}

// The errors of this client have no code; their class is the standard's.
async function isRefused(checks, sentence, name, call) {
  const error = await call().then(() => undefined, (refused) => refused);
  checks.that(sentence, error?.constructor.name === name, error?.message);
}

run('MCP SDK', async (checks) => {
  const server = await resource();
  const serverUrl = `http://127.0.0.1:${server.address().port}/mcp`;
  const own = (clientSecret) =>
    new ClientCredentialsProvider({ clientId: APP, clientSecret, expectedIssuer: PLATFORM });
  const provider = own(SECRET);
  checks.that('a token is obtained', (await auth(provider, { serverUrl })) === 'AUTHORIZED', provider.tokens());
  await isRefused(checks, 'a wrong secret is told', 'InvalidClientError', () => auth(own(`${SECRET}x`), { serverUrl }));

  await register();
  const kept = {};
  const customer = {
    redirectUrl: REDIRECT,
    clientMetadata: { redirect_uris: [REDIRECT], scope: 'auth_base' },
    clientInformation: () => ({ client_id: APP, client_secret: SECRET, issuer: PLATFORM }),
    tokens: () => kept.tokens,
    saveTokens: (tokens) => { kept.tokens = tokens; },
    redirectToAuthorization: (url) => { kept.url = url; },
    saveCodeVerifier: (verifier) => { kept.verifier = verifier; },
    codeVerifier: () => kept.verifier,
  };
  checks.that('a customer is sent for', (await auth(customer, { serverUrl })) === 'REDIRECT', kept.url);
  const authorizationCode = (await browsed(kept.url)).searchParams.get('code');
  await auth(customer, { serverUrl, authorizationCode });
  const first = kept.tokens;
  checks.that('the code is exchanged with its verifier', first?.expires_in > 0 && first.refresh_token, kept);
  await auth(customer, { serverUrl });
  checks.that('the refresh token buys the next pair', kept.tokens.access_token !== first.access_token, kept);
  server.close();
});
