// my.getAuthCode for web views, and for trying things out: the JSAPI of the Mini Program family.
//
//   <script src="https://ISSUER/my.js" data-client-id="YOUR_CLIENT_ID"></script>
//   my.getAuthCode({ scopes: ['auth_user'], success, fail, complete });
//
// success({ authCode, authSuccessScopes, authErrorScopes }), fail({ error, errorMessage }), complete(either).
// Errors: 2 the parameters are wrong, 3 it did not work, 4 the app may not ask for these scopes, 11 the user cancelled.
// The page's origin must be that of one of the app's redirect URLs. Call it from a click, or the browser blocks the window.
(function () {
  'use strict';
  const tag = document.currentScript;
  const clientId = tag.dataset.clientId;
  const page = new URL('authorize', tag.src);
  const CLOSED_CHECK_MS = 250;

  function random() {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  }

  function getAuthCode(options) {
    const asked = options || {};
    let timer = 0;
    let popup = null;
    const state = random();

    function finish(isSuccess, answer) {
      clearInterval(timer);
      window.removeEventListener('message', onMessage);
      const told = isSuccess ? asked.success : asked.fail;
      if (typeof told === 'function') told(answer);
      if (typeof asked.complete === 'function') asked.complete(answer);
    }
    function fail(error, errorMessage) {
      finish(false, { error, errorMessage });
    }
    function onMessage(event) {
      const answer = event.data;
      if (event.origin !== page.origin || event.source !== popup || !answer || answer.state !== state) return;
      if (answer.error) {
        fail(answer.error, answer.errorMessage);
      } else {
        const { authCode, authSuccessScopes, authErrorScopes } = answer;
        finish(true, { authCode, authSuccessScopes, authErrorScopes });
      }
    }

    const scopes = [].concat(asked.scopes || 'auth_base');
    if (!clientId || !scopes.every((scope) => typeof scope === 'string' && /^[\w.:-]+$/.test(scope))) {
      fail(2, 'give scopes as a list of names, and data-client-id on the script tag');
      return;
    }
    page.search = new URLSearchParams({ client_id: clientId, scopes: scopes.join(','), origin: location.origin, state });
    window.addEventListener('message', onMessage);
    popup = window.open(page, '_blank', 'popup,width=420,height=640');
    if (!popup) {
      fail(3, 'the browser blocked the window; call getAuthCode from a click');
      return;
    }
    timer = setInterval(() => {
      if (popup.closed) {
        // Its last message may still be on the way.
        clearInterval(timer);
        timer = setTimeout(() => fail(11, 'the user cancelled the authorization'), CLOSED_CHECK_MS);
      }
    }, CLOSED_CHECK_MS);
  }

  window.my = Object.assign(window.my || {}, { getAuthCode });
})();
