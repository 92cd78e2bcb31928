// The steps that many cases share.
'use strict';
const assert = require('node:assert/strict');

/** The authorization page's URL for the merchant's site. */
function ask({ sandbox, site, app }, changes = {}) {
  const query = { client_id: app, scopes: 'auth_user', redirect_url: `${site.url}/back?cart=7`, state: 's1', ...changes };
  return `${sandbox.issuer}/authorize?${new URLSearchParams(query)}`;
}

/** Goes to `url`, by way of the stand-in wallet, as `customer`. */
async function goSignedIn(world, url, customer = world.customer) {
  await world.page.goto(url);
  await world.page.waitForURL(/\/sandbox\/wallet/);
  await world.page.click(`button[value="${customer}"]`);
  await world.page.waitForURL((to) => !to.pathname.startsWith('/sandbox/wallet'));
}

/** What came back to the merchant's site. */
function cameBack({ page, site }) {
  const url = new URL(page.url());
  assert.equal(url.origin + url.pathname, `${site.url}/back`);
  assert.equal(url.searchParams.get('cart'), '7');
  assert.equal(url.searchParams.get('state'), 's1');
  return { code: url.searchParams.get('authCode'), result: url.searchParams.get('authResult') };
}

/** The app's grants, as the admin API tells them. */
async function grants({ sandbox, app }) {
  return (await sandbox.admin('GET', `/admin/v1/grants?app=${app}`)).grants;
}

module.exports = { ask, goSignedIn, cameBack, grants };
