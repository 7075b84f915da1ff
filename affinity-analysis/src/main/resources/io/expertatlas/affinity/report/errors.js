// First of all scripts: what goes wrong in the page stands in <html data-errors>.
(() => {
  const errors = [];
  const add = text => {
    errors.push(text);
    document.documentElement.dataset.errors = errors.join(' | ');
  };
  window.onerror = (message, source, line) => add(message + ' at line ' + line);
  window.addEventListener('unhandledrejection', event => add(String(event.reason)));
})();
