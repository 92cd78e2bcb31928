'use strict';

// @alicloud/dingtalk, the official client: endpoint and protocol are settings.

const oauth2 = require('@alicloud/dingtalk/oauth2_1_0');
const { Config } = require('@alicloud/openapi-client');
const { RuntimeOptions } = require('@alicloud/tea-util');
const { run, TOKENS, PLATFORM, APP, SECRET } = require('./checks');

function client(base) {
  return new oauth2.default(new Config({ protocol: 'http', regionId: 'central', endpoint: new URL(base).host }));
}

run('@alicloud/dingtalk', async (checks) => {
  const issuer = client(TOKENS);
  const platform = client(PLATFORM);
  const ask = async (appKey, appSecret) =>
    (await issuer.getAccessToken(new oauth2.GetAccessTokenRequest({ appKey, appSecret }))).body;
  const ticket = async (token) => {
    const headers = new oauth2.CreateJsapiTicketHeaders({ xAcsDingtalkAccessToken: token });
    return (await platform.createJsapiTicketWithOptions(headers, new RuntimeOptions({}))).body;
  };

  const first = await ask(APP, SECRET);
  checks.that('a token is obtained', first.accessToken.length > 0, first);
  checks.that('its lifetime is a positive number', first.expireIn > 0 && first.expireIn <= 7200, first.expireIn);
  checks.that('jsapiTickets takes it', (await ticket(first.accessToken)).jsapiTicket.length > 0, 'no ticket');
  checks.that('a repeat gives the same token', (await ask(APP, SECRET)).accessToken === first.accessToken);
  await checks.rejects('a dead token is InvalidAuthentication', 'Error', 'InvalidAuthentication', () => ticket('dead'));
  await checks.rejects('a wrong secret is invalidClientIdOrSecret', 'Error', 'invalidClientIdOrSecret', () =>
    ask(APP, `${SECRET}x`));
  await checks.rejects('an unknown app is invalidClientIdOrSecret', 'Error', 'invalidClientIdOrSecret', () =>
    ask('dingnobody', SECRET));
});
