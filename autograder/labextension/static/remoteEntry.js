// What JupyterLab loads: the container that a bundler would write, by hand, because there is nothing to bundle.
//
// JupyterLab calls init() with the libraries it shares, then get("./extension") for the plugins. The modules
// beside this file are plain ES modules; they never import JupyterLab, they are handed what they use.
(() => {
  const here = document.currentScript.src;
  let scope = {};

  // A shared library, or null where the front end has none of that name (Notebook 7 lacks a few).
  async function shared(name) {
    const versions = Object.values(scope[name] ?? {});
    const chosen = versions.find(version => version.loaded) ?? versions[0];
    return chosen ? (await chosen.get())() : null;
  }

  window._JUPYTERLAB = window._JUPYTERLAB ?? {};
  window._JUPYTERLAB.autograder = {
    init: given => {
      scope = given;
    },
    get: async () => {
      const { pluginFor } = await import(new URL("plugin.js", here).href);
      const plugin = await pluginFor(shared, new URL("style.css", here).href);
      return () => ({ __esModule: true, default: plugin });
    }
  };
})();
