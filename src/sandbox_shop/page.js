// Plays the flow and marks each step when it has happened.
(function () {
  'use strict';
  const result = document.getElementById('result');

  function done(step, detail) {
    const item = document.getElementById('step-' + step);
    item.className = 'done';
    if (detail) {
      const note = document.createElement('small');
      note.textContent = detail;
      item.append(document.createElement('br'), note);
    }
  }

  function reset() {
    result.textContent = '';
    for (const item of document.querySelectorAll('.steps li')) {
      item.className = '';
      for (const note of item.querySelectorAll('br, small')) note.remove();
    }
  }

  async function sendToServer(authCode) {
    const response = await fetch('/sandbox/shop/sign-in', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ authCode }),
    });
    const answer = await response.json();
    if (!response.ok) {
      result.textContent = 'The keeper said no: ' + JSON.stringify(answer.told);
      return;
    }
    done(7, 'POST /v1/exchanges/miniprogram-sandbox: ' + answer.exchange.status);
    done(8, 'good for ' + answer.kept.told.expires_in + ' s, version ' + answer.kept.told.version);
    if (answer.user.error) {
      result.textContent = 'The platform said no: ' + answer.user.error;
      return;
    }
    done(9, answer.user.path + ': ' + answer.user.nickName);
    result.textContent = 'Signed in as ' + answer.user.nickName + ' (' + answer.user.userId + ').';
  }

  document.getElementById('sign-in').addEventListener('click', () => {
    reset();
    done(1, "my.getAuthCode({ scopes: ['auth_user'] })");
    done(2);
    my.getAuthCode({
      scopes: ['auth_user'],
      success: ({ authCode, authSuccessScopes }) => {
        done(3, 'You confirmed.');
        done(4);
        done(5, 'for ' + authSuccessScopes.join(', '));
        done(6);
        sendToServer(authCode);
      },
      fail: ({ error, errorMessage }) => {
        done(3, 'You refused, or it was not possible.');
        result.textContent = 'Error ' + error + ': ' + errorMessage;
      },
    });
  });
})();
