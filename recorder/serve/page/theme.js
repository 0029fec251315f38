// The remembered theme, before anything is drawn: no flash of the other one.
(() => {
  try {
    const theme = JSON.parse(localStorage.getItem("recorder") || "{}").theme;
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  } catch {
    // Storage may be forbidden; then the system's theme it is.
  }
})();
