"use strict";
for (const figure of document.querySelectorAll("figure")) {
  const views = figure.querySelector(".views");
  const slider = figure.querySelector("input");
  const move = () => views.style.setProperty("--cut", slider.value + "%");
  slider.addEventListener("input", move);
  for (const side of ["left", "right"]) {
    const select = figure.querySelector("select." + side);
    const choose = () => [...views.children].forEach((view, k) =>
      view.classList.toggle(side, k === select.selectedIndex));
    select.addEventListener("change", choose);
    choose(); // a browser may have kept an earlier choice
  }
  move();
}
for (const table of document.querySelectorAll("table")) {
  const headings = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  headings.forEach((heading, column) => heading.firstElementChild.addEventListener("click", () => {
    const sign = heading.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    const value = row => row.cells[column].dataset.value;
    const rows = [...body.rows].sort((a, b) => {
      const x = value(a), y = value(b);
      if (x === "" || y === "") return (x === "") - (y === ""); // what was not measured is last
      return sign * (heading.className === "text" ? x.localeCompare(y) : x - y);
    });
    body.append(...rows);
    headings.forEach(other => other.removeAttribute("aria-sort"));
    heading.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
  }));
}
