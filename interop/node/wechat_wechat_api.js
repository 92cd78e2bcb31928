'use strict';

// wechat-api, the older client with callbacks: `setEndpoint` takes a host name for HTTPS, so the field is set instead.

const { promisify } = require('node:util');
const API = require('wechat-api');
const { run, TOKENS, PLATFORM, APP, SECRET, WRONG_SECRET, AT_THE_KEEPER } = require('./checks');

function client(appid, secret) {
  const api = new API(appid, secret);
  api.endpoint = TOKENS;
  return {
    getAccessToken: promisify(api.getAccessToken).bind(api),
    async getIp() {
      api.endpoint = PLATFORM;
      try {
        return await promisify(api.getIp).call(api);
      } finally {
        api.endpoint = TOKENS;
      }
    },
  };
}

run('wechat-api', async (checks) => {
  const api = client(APP, SECRET);
  const first = await api.getAccessToken();
  checks.that('a token is obtained', first.accessToken.length > 32, first.accessToken.length);
  checks.that('getcallbackip takes it', (await api.getIp()).ip_list.length > 0, 'no addresses');
  const second = await api.getAccessToken();
  checks.that(
    AT_THE_KEEPER ? 'a repeat gives the same token' : 'a repeat gives another token',
    (second.accessToken === first.accessToken) === AT_THE_KEEPER,
  );
  const wrong = client(APP, `${SECRET}x`);
  await checks.rejects(`a wrong secret is ${WRONG_SECRET}`, 'WeChatAPIError', WRONG_SECRET, () => wrong.getAccessToken());
  const nobody = client('wx00000000000000ff', SECRET);
  await checks.rejects('an unknown app is 40013', 'WeChatAPIError', 40013, () => nobody.getAccessToken());
});
