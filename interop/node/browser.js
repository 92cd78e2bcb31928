'use strict';

// What a browser does on the authorization page, for the clients that send a customer there.

const { APP } = require('./checks');

const REGISTERED = 'http://127.0.0.1/back';
const REDIRECT = 'http://127.0.0.1:9/back'; // an app on the customer's own machine takes any port

// Lets the app be answered at REDIRECT.
async function register() {
  const answer = await fetch(`${process.env.MINTKEEP_ADMIN}/admin/v1/apps/${APP}`, {
    method: 'PATCH',
    headers: { Authorization: `Bearer ${process.env.MINTKEEP_ADMIN_TOKEN}`, 'Content-Type': 'application/json' },
    body: JSON.stringify({ settings: { redirect_urls: [REGISTERED] } }),
  });
  if (!answer.ok) throw new Error(`the app was not changed: ${await answer.text()}`);
}

// What a browser does with `url`: it signs in at the sandbox's wallet, and comes to REDIRECT in the end.
async function browsed(url) {
  let cookie = '';
  for (let steps = 0; !url.href.startsWith(REDIRECT); steps += 1) {
    const isWallet = url.pathname === '/sandbox/wallet';
    const form = { return_to: url.searchParams.get('return_to'), customer: '2160000000000001' };
    const how = isWallet ? { method: 'POST', body: new URLSearchParams(form) } : { headers: { cookie } };
    const answer = await fetch(url, { ...how, redirect: 'manual' });
    const to = answer.headers.get('location');
    if (!to || steps > 5) throw new Error(`${url.pathname} led nowhere: ${answer.status} ${await answer.text()}`);
    cookie = answer.headers.get('set-cookie')?.split(';')[0] ?? cookie;
    url = new URL(to, url);
  }
  return url;
}

module.exports = { REDIRECT, register, browsed };
