// Returns what is wrong with a page beside what axe finds, as a list of words.
const faults = [];
const pencil = document.createElement("canvas").getContext("2d", { willReadFrequently: true });

function layers(...colours) {
  pencil.globalAlpha = 1;
  for (const [colour, opacity] of colours) {
    pencil.globalAlpha = opacity;
    pencil.fillStyle = colour;
    pencil.fillRect(0, 0, 1, 1);
  }
  return [...pencil.getImageData(0, 0, 1, 1).data.slice(0, 3)];
}

function luminance(rgb) {
  const [r, g, b] = rgb.map((value) => {
    const share = value / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(one, other) {
  const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
}

const paper = getComputedStyle(document.body).backgroundColor;
const seen = (element) => element.checkVisibility() && element.getClientRects().length > 0;
const name = (element) => `${element.tagName} '${element.textContent.trim().slice(0, 30)}'`;
const inside = (box, x, y) => box.left <= x && x <= box.right && box.top <= y && y <= box.bottom;

const root = document.documentElement;
if (root.scrollWidth > root.clientWidth) {
  const wide = [...document.body.querySelectorAll("*")].filter(
    (element) =>
      element.getBoundingClientRect().right > root.clientWidth + 1 && !element.closest(".wide"),
  );
  faults.push(`page is ${root.scrollWidth} px wide: ${wide.slice(0, 3).map(name).join(", ")}`);
}

for (const link of document.querySelectorAll('a[href^="#"]')) {
  const to = link.getAttribute("href").slice(1);
  if (to !== "" && !document.getElementById(to)) faults.push(`link to nowhere: ${to}`);
}

for (const chart of [...document.querySelectorAll("svg[role=img]")].filter(seen)) {
  const frame = chart.getBoundingClientRect();
  const drawn = chart.viewBox.baseVal?.width || frame.width;
  const shapes = [...chart.querySelectorAll("rect, circle")].filter(seen);
  for (const text of [...chart.querySelectorAll("text")].filter(seen)) {
    if (text.textContent === "") continue;
    const box = text.getBoundingClientRect();
    const style = getComputedStyle(text);
    const pixels = (parseFloat(style.fontSize) * frame.width) / drawn;
    if (pixels < 10) faults.push(`small: ${name(text)} has ${pixels.toFixed(1)} px`);
    if (box.left < frame.left - 2 || box.right > frame.right + 2 || box.bottom > frame.bottom + 2)
      faults.push(`cut: ${name(text)}`);
    const [x, y] = [(box.left + box.right) / 2, (box.top + box.bottom) / 2];
    const below = shapes
      .filter((shape) => shape.compareDocumentPosition(text) & Node.DOCUMENT_POSITION_FOLLOWING)
      .filter((shape) => inside(shape.getBoundingClientRect(), x, y))
      .map((shape) => [getComputedStyle(shape).fill, Number(getComputedStyle(shape).opacity)]);
    const ground = layers([paper, 1], ...below);
    const ratio = contrast(layers([style.fill, 1]), ground);
    if (ratio < 4.5) faults.push(`faint: ${name(text)} has a contrast of ${ratio.toFixed(2)}`);
  }
  for (const mark of [...chart.querySelectorAll(".bar, .line, .status")].filter(seen)) {
    const style = getComputedStyle(mark);
    const colour = mark.classList.contains("line") && mark.tagName === "path" ? style.stroke : style.fill;
    const ratio = contrast(layers([paper, 1], [colour, Number(style.opacity)]), layers([paper, 1]));
    if (ratio < 3) faults.push(`faint: .${mark.getAttribute("class")} has ${ratio.toFixed(2)}`);
  }
}
return [...new Set(faults)];
