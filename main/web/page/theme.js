// The colours: light, dark, or as the system has them. They are kept for the next visit, before the settings are here.

const KEY = "chat.theme";
const system = matchMedia("(prefers-color-scheme: dark)");

export function applyTheme(theme = localStorage.getItem(KEY) ?? "system") {
  localStorage.setItem(KEY, theme);
  const isDark = theme === "dark" || (theme !== "light" && system.matches);
  document.documentElement.dataset.theme = isDark ? "dark" : "light";
}

system.addEventListener("change", () => applyTheme());
