// Light or dark, as it was chosen here before. A script of its own that runs before anything is drawn.
"use strict";
(() => {
  try {
    const theme = localStorage.getItem("atoll-theme");
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  } catch {
    // No storage: as the system has it.
  }
})();
