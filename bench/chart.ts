import { LineChart } from "echarts/charts";
import { GridComponent, LegendComponent, TitleComponent } from "echarts/components";
import { init, use } from "echarts/core";
import { SVGRenderer } from "echarts/renderers";

use([LineChart, GridComponent, LegendComponent, TitleComponent, SVGRenderer]);

/** One line of a chart. */
export interface Series {
  readonly name: string;
  readonly points: readonly (readonly [tokens: number, value: number])[];
}

export interface Colors {
  readonly text: string;
  readonly faint: string;
  readonly lines: readonly string[];
}

/** Told apart by people with any colour vision; markers differ as well. */
export const lightColors: Colors = {
  text: "#1f2933",
  faint: "#d5dbe1",
  lines: ["#0b63a5", "#c2570c", "#4a7a12", "#7a3fa0", "#946200", "#a3264b"],
};
export const darkColors: Colors = {
  text: "#e4e9ee",
  faint: "#3a444e",
  lines: ["#6cb6f5", "#f59a56", "#9fd05a", "#c79bea", "#e3b341", "#f08aa6"],
};

const symbols = ["circle", "rect", "triangle", "diamond", "pin", "arrow"];
const WIDTH = 460;
const HEIGHT = 300;

/** A line chart over the number of tokens, both axes logarithmic, as the text of an SVG that scales with its container. */
export function lineChart(title: string, series: readonly Series[], colors: Colors): string {
  const chart = init(null, null, { renderer: "svg", ssr: true, width: WIDTH, height: HEIGHT });
  const values = series.flatMap((s) => s.points.map(([, value]) => value)).filter((v) => v > 0);
  const tokens = series.flatMap((s) => s.points.map(([count]) => count));
  const axis = {
    type: "log" as const,
    axisLabel: { color: colors.text, fontSize: 13 },
    axisLine: { lineStyle: { color: colors.faint } },
    splitLine: { lineStyle: { color: colors.faint } },
    nameTextStyle: { color: colors.text, fontSize: 13 },
  };
  try {
    chart.setOption({
      animation: false,
      textStyle: { fontFamily: "system-ui, sans-serif" },
      title: { text: title, left: 8, top: 4, textStyle: { color: colors.text, fontSize: 15, fontWeight: 600 } },
      legend: { bottom: 0, textStyle: { color: colors.text, fontSize: 13 }, data: series.map((s) => s.name) },
      grid: { left: 12, right: 24, top: 40, bottom: 56, outerBoundsMode: "same", outerBoundsContain: "axisLabel" },
      xAxis: {
        ...axis,
        logBase: 2,
        min: Math.min(...tokens),
        max: Math.max(...tokens),
        name: "tokens",
        nameLocation: "middle",
        nameGap: 28,
      },
      yAxis: { ...axis, min: decade(Math.min(...values), Math.floor), max: decade(Math.max(...values), Math.ceil) },
      series: series.map((s, i) => ({
        type: "line" as const,
        name: s.name,
        data: s.points.map(([x, y]) => [x, y]),
        symbol: symbols[i % symbols.length],
        symbolSize: 8,
        lineStyle: { width: 2.5, color: colors.lines[i % colors.lines.length] },
        itemStyle: { color: colors.lines[i % colors.lines.length] },
      })),
    });
    // The page's style sets the size; the view box keeps the proportions.
    return chart.renderToSVGString().replace(/^<svg width="\d+" height="\d+"/, '<svg role="img"');
  } finally {
    chart.dispose();
  }
}

const decade = (value: number, round: (x: number) => number): number =>
  10 ** round(Math.log10(value) + (round === Math.ceil ? 1e-9 : -1e-9));
