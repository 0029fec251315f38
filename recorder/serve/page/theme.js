// Sets the stored theme before the page is drawn, to avoid a flash of the other one.
(() => {
  try {
    const theme = JSON.parse(localStorage.getItem("recorder") || "{}").theme;
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  } catch {
    // Without access to storage, the page uses the system's theme.
  }
})();
