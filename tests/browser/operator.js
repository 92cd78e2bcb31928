// What an operator does in many cases: signs in, presses a button, makes an app, lives through a day.
'use strict';
const assert = require('node:assert/strict');

/** Signs in on the way to `route`. */
async function signIn({ page, sandbox }, route = '/') {
  await page.goto(sandbox.console + route);
  await page.fill('#token', sandbox.token);
  await Promise.all([page.waitForNavigation(), page.click('button[type=submit]')]);
  assert.equal(page.url(), sandbox.console + route);
}

/** Presses a button and waits for the page that it leads to. */
async function press(page, button) {
  await Promise.all([page.waitForNavigation(), page.click(button)]);
}

/** An app of its own for one case: its id, and its secret as it was made. */
async function makeApp({ sandbox }, name) {
  const made = await sandbox.admin('POST', '/admin/v1/apps', { dialect: 'wechat', name });
  return { id: made.app.id, secret: made.secret };
}

/** What WeChat's token endpoint answers the app. */
async function ask({ sandbox }, { id, secret }) {
  const query = new URLSearchParams({ grant_type: 'client_credential', appid: id, secret });
  return (await fetch(`${sandbox.issuer}/cgi-bin/token?${query}`)).json();
}

/** A credential of its own with a day behind it: renewals, and a failure. Its token has a successor to live beside. */
async function live(world) {
  const { sandbox } = world;
  const name = 'corner-shop';
  const renew = () => sandbox.admin('POST', `/admin/v1/keeper/tokens/${name}/refresh`).catch((error) => error);
  const pass = (minutes) => sandbox.admin('POST', '/admin/v1/sandbox/clock', { advance_s: minutes * 60 });
  const { credentials } = await sandbox.admin('GET', '/admin/v1/keeper/credentials');
  if (credentials.some((credential) => credential.name === name)) return;
  const { id, secret } = await makeApp(world, 'Corner shop');
  const asked = { name, dialect: 'wechat', legacy: true, app_id: id, base_url: sandbox.issuer, proof: { secret } };
  await sandbox.admin('POST', '/admin/v1/keeper/credentials', asked);
  await renew();
  for (const minutes of [28, 19]) {
    await pass(minutes);
    await renew();
  }
  await pass(12);
  const rule = { dialect: 'wechat', endpoint: '/cgi-bin/token', action: 'answer', code: '-1' };
  const { id: fault } = await sandbox.admin('POST', '/admin/v1/sandbox/faults', rule);
  await renew();
  await sandbox.admin('DELETE', `/admin/v1/sandbox/faults/${fault}`);
  await pass(9);
  await renew();
  await pass(16);
}

module.exports = { signIn, press, makeApp, ask, live };
