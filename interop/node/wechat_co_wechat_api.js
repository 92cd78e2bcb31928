'use strict';

// co-wechat-api: its base URL is a public field.

const API = require('co-wechat-api');
const { run, TOKENS, PLATFORM, APP, SECRET, WRONG_SECRET, AT_THE_KEEPER } = require('./checks');

// Tokens from one place, everything else from another.
function client(appid, secret, tokenFromCustom) {
  const api = new API(appid, secret, undefined, undefined, tokenFromCustom);
  api.prefix = `${PLATFORM}/cgi-bin/`;
  const getAccessToken = api.getAccessToken;
  api.getAccessToken = async function () {
    const prefix = this.prefix;
    this.prefix = `${TOKENS}/cgi-bin/`;
    try {
      return await getAccessToken.call(this);
    } finally {
      this.prefix = prefix;
    }
  };
  return api;
}

run('co-wechat-api', async (checks) => {
  const api = client(APP, SECRET);
  const first = await api.getAccessToken();
  checks.that('a token is obtained', first.accessToken.length > 32, first.accessToken.length);
  checks.that('it is taken for valid', first.isValid(), first.expireTime);
  checks.that('getcallbackip takes it', (await api.getIp()).ip_list.length > 0, 'no addresses');

  const second = await api.getAccessToken();
  if (AT_THE_KEEPER) {
    checks.that('a repeat gives the same token', second.accessToken === first.accessToken);
  } else {
    checks.that('a repeat gives another token', second.accessToken !== first.accessToken);
    await api.saveToken(first);
    checks.that('the predecessor is good for a while', (await api.getIp()).ip_list.length > 0, 'no addresses');
  }
  await api.saveToken({ accessToken: 'dead'.repeat(10), expireTime: Date.now() + 1e6 });
  checks.that('a dead token heals itself', (await api.getIp()).ip_list.length > 0, 'no addresses');

  // Without the last argument this client answers a 40001 of the token endpoint by asking it again, for ever.
  const wrong = client(APP, `${SECRET}x`, true);
  await checks.rejects(`a wrong secret is ${WRONG_SECRET}`, 'WeChatAPIError', WRONG_SECRET, () => wrong.getAccessToken());
  const nobody = client('wx00000000000000ff', SECRET);
  await checks.rejects('an unknown app is 40013', 'WeChatAPIError', 40013, () => nobody.getAccessToken());
});
