// The sentence of the nearest point of a chart: under the pointer, under the finger, by arrow keys.
"use strict";
for (const chart of document.querySelectorAll(".chart")) {
  const points = JSON.parse(chart.dataset.points);
  const drawing = chart.querySelector("svg");
  const cursor = chart.querySelector(".cursor");
  const output = chart.querySelector("output");
  let chosen = points.length - 1;

  const choose = (index) => {
    chosen = Math.max(0, Math.min(points.length - 1, index));
    const [x, sentence] = points[chosen];
    cursor.setAttribute("x1", x);
    cursor.setAttribute("x2", x);
    cursor.style.visibility = "visible";
    output.textContent = sentence;
  };
  const nearest = (event) => {
    const box = drawing.getBoundingClientRect();
    const x = (event.clientX - box.left) * drawing.viewBox.baseVal.width / box.width;
    const distances = points.map((point) => Math.abs(point[0] - x));
    return distances.indexOf(Math.min(...distances));
  };
  const keys = {
    ArrowLeft: () => chosen - 1,
    ArrowRight: () => chosen + 1,
    Home: () => 0,
    End: () => points.length - 1,
  };
  if (points.length === 0) continue;
  drawing.addEventListener("pointermove", (event) => choose(nearest(event)));
  drawing.addEventListener("pointerdown", (event) => choose(nearest(event)));
  chart.addEventListener("keydown", (event) => {
    if (!(event.key in keys)) return;
    event.preventDefault();
    choose(keys[event.key]());
  });
}
