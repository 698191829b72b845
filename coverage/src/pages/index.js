"use strict";
(() => {
  const shown = () => [...document.querySelectorAll("summary.row, a.row")].filter((row) => row.offsetParent);
  const step = (by) => {
    const rows = shown();
    const at = rows.indexOf(document.activeElement);
    const next = rows[at < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.min(Math.max(at + by, 0), rows.length - 1)];
    if (next) next.focus();
  };
  const least = () => {
    const share = (row) => parseFloat(row.querySelector(".number").textContent);
    const files = [...document.querySelectorAll("a.row")].filter((row) => !Number.isNaN(share(row)));
    files.sort((one, other) => share(one) - share(other));
    if (!files[0]) return;
    for (let box = files[0].closest("details"); box; box = box.parentElement.closest("details")) box.open = true;
    files[0].focus();
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "j") step(1);
    else if (event.key === "k") step(-1);
    else if (event.key === "u") least();
    else return;
    event.preventDefault();
  });
})();
