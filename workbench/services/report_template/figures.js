(() => {
  "use strict";
  const INK = {
    light: { text: "#1f2328", grid: "#e4e7eb", line: "#c5cad1", soft: "#59636e" },
    dark: { text: "#e6e8eb", grid: "#30363d", line: "#484f58", soft: "#9aa4af" },
  };
  // "Share chart" would upload the figure's data.
  const CONFIG = {
    responsive: true,
    displaylogo: false,
    modeBarButtonsToRemove: ["sendChartToCloud", "select2d", "lasso2d"],
    plotlyServerURL: "",
  };
  // Automatic sizes do not follow the page onto paper.
  const HEIGHT = 420;
  const PAPER_WIDTH = 680;
  const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif";
  // WebGL traces compile code at run time, which the page's policy forbids; their SVG twins do not.
  const TWIN = { scattergl: "scatter", scatterpolargl: "scatterpolar" };

  const darkScreen = matchMedia("(prefers-color-scheme: dark)");
  const figures = [...document.querySelectorAll(".figure > script")].map((script) => ({
    holder: script.parentElement.appendChild(document.createElement("div")),
    json: script.textContent,
  }));

  const inInk = (axis, ink) => ({ ...axis, gridcolor: ink.grid, zerolinecolor: ink.line, linecolor: ink.line });

  // The page's colours are the template's, so what a figure sets itself still wins.
  function themed(layout, ink, size) {
    const template = { ...layout.template };
    const base = { ...template.layout };
    template.layout = {
      ...base,
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { ...base.font, color: ink.text, family: FONT },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: ink.soft, activecolor: ink.text },
      shapedefaults: { ...base.shapedefaults, line: { color: ink.soft, ...base.shapedefaults?.line } },
      xaxis: inInk(base.xaxis, ink),
      yaxis: inInk(base.yaxis, ink),
    };
    return { ...size, ...layout, template };
  }

  async function drawOne({ holder, json }, ink, size) {
    try {
      const { data, layout } = JSON.parse(json);
      for (const trace of data) trace.type = TWIN[trace.type] ?? trace.type;
      await Plotly.react(holder, data, themed(layout, ink, size), CONFIG);
    } catch (error) {
      holder.textContent = `This figure cannot be drawn: ${error.message}`;
    }
  }

  function draw(ink, size) {
    for (const figure of figures) drawOne(figure, ink, size);
  }

  const onScreen = () => draw(darkScreen.matches ? INK.dark : INK.light, { height: HEIGHT, autosize: true });
  darkScreen.addEventListener("change", onScreen);
  addEventListener("beforeprint", () => draw(INK.light, { height: HEIGHT, width: PAPER_WIDTH }));
  addEventListener("afterprint", onScreen);
  onScreen();
})();
