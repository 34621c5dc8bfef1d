import { render } from "preact";
import "uplot/dist/uPlot.min.css";
import "./style/base.css";
import "./style/controls.css";
import "./style/connect.css";
import "./style/workbench.css";
import "./style/rail.css";
import "./style/tail.css";
import "./style/side.css";
import "./style/help.css";
import "./style/narrow.css";
import { listenForShortcuts } from "./ui/shortcuts.ts";
import { Shell } from "./ui/shell.tsx";

const root = document.getElementById("app");
if (root) {
  root.replaceChildren();
  render(<Shell />, root);
  listenForShortcuts();
}
