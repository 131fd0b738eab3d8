(() => {
  "use strict";
  const INK = {
    light: { text: "#1f2328", grid: "#e4e7eb", line: "#c5cad1" },
    dark: { text: "#e6e8eb", grid: "#30363d", line: "#484f58" },
  };
  const CONFIG = { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["select2d", "lasso2d"] };
  const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif";
  // WebGL traces compile code at run time, which the page's policy forbids; their SVG twins do not.
  const TWIN = { scattergl: "scatter", scatterpolargl: "scatterpolar" };

  const darkScreen = matchMedia("(prefers-color-scheme: dark)");
  const figures = [...document.querySelectorAll(".figure > script")].map((script) => ({
    holder: script.parentElement,
    json: script.textContent,
  }));

  const inInk = (axis, ink) => ({ ...axis, gridcolor: ink.grid, zerolinecolor: ink.line, linecolor: ink.line });

  // The page's colours are the template's, so what a figure sets itself still wins.
  function themed(layout, ink) {
    const template = { ...layout.template };
    const base = { ...template.layout };
    template.layout = {
      ...base,
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { ...base.font, color: ink.text, family: FONT },
      xaxis: inInk(base.xaxis, ink),
      yaxis: inInk(base.yaxis, ink),
    };
    return { ...layout, template };
  }

  function draw(mode) {
    for (const { holder, json } of figures) {
      const { data, layout } = JSON.parse(json);
      for (const trace of data) trace.type = TWIN[trace.type] ?? trace.type;
      Plotly.react(holder, data, themed(layout, INK[mode]), CONFIG);
    }
  }

  const screenMode = () => (darkScreen.matches ? "dark" : "light");
  darkScreen.addEventListener("change", () => draw(screenMode()));
  addEventListener("beforeprint", () => draw("light"));
  addEventListener("afterprint", () => draw(screenMode()));
  draw(screenMode());
})();
