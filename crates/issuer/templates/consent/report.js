// Tells the page that opened this one what the customer answered: only to the origin that the app registered.
(function () {
  'use strict';
  const answer = document.getElementById('answer');
  const asker = window.opener || (window.parent !== window ? window.parent : null);
  if (!asker) return;
  asker.postMessage(JSON.parse(answer.dataset.message), answer.dataset.origin);
  if (window.opener) window.close();
})();
