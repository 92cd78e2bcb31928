'use strict';

// node-dingtalk, a client of the older API: one host for the token and for the calls that take it.

const DingTalk = require('node-dingtalk');
const { run, TOKENS, APP, SECRET } = require('./checks');

// The client knows the pair by the names that it had before.
const client = (corpid, corpsecret) => new DingTalk({ corpid, corpsecret, host: TOKENS }).client;

run('node-dingtalk', async (checks) => {
  const ours = client(APP, SECRET);
  const first = await ours.getAccessToken();
  checks.that('a token is obtained', first.length > 0, first.length);
  const drawn = await ours.get('get_jsapi_ticket', { type: 'jsapi' });
  checks.that('get_jsapi_ticket takes it', drawn.errcode === 0 && drawn.ticket.length > 0, drawn);
  checks.that('a repeat gives the same token', (await client(APP, SECRET).getAccessToken()) === first);
  const refusal = 'DingTalkClientResponseError';
  await checks.rejects('a dead token is 40014', refusal, 40014, () =>
    ours.get('get_jsapi_ticket', {}, { accessToken: 'dead'.repeat(10) }));
  await checks.rejects('a wrong secret is 40096', refusal, 40096, () => client(APP, `${SECRET}x`).getAccessToken());
  await checks.rejects('an unknown app is 40096', refusal, 40096, () => client('dingnobody', SECRET).getAccessToken());
});
