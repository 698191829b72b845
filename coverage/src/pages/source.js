"use strict";
(() => {
  const rows = [...document.querySelectorAll("table.source tbody tr")];
  const open = (row) => row && (row.classList.contains("uncovered") || row.classList.contains("half"));
  // Lines that follow one another and are alike are one place.
  const places = rows.filter((row, index) => open(row) && !(open(rows[index - 1]) && rows[index - 1].className === row.className));
  const where = document.getElementById("where");
  let at = -1;
  const say = (text) => { where.textContent = text; };
  const show = (index) => {
    if (!places.length) { say("everything ran"); return; }
    if (at >= 0) places[at].classList.remove("here");
    at = (index + places.length) % places.length;
    const row = places[at];
    row.classList.add("here");
    const link = row.querySelector("a");
    link.focus({ preventScroll: true });
    row.scrollIntoView({ block: "center" });
    const what = row.classList.contains("half") ? "ran in part" : "did not run";
    say(`${at + 1} of ${places.length}: line ${row.id.slice(1)} ${what}`);
  };
  const from = () => {
    if (at >= 0 || !location.hash) return at;
    const line = Number(location.hash.slice(2));
    return places.filter((row) => Number(row.id.slice(1)) <= line).length - 1;
  };
  const next = () => show(from() + 1);
  const previous = () => show(at < 0 && !location.hash ? -1 : from() - 1);
  document.getElementById("next").addEventListener("click", next);
  document.getElementById("previous").addEventListener("click", previous);
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "j" || event.key === "n") next();
    else if (event.key === "k" || event.key === "p") previous();
    else if (event.key === "u") location.href = document.querySelector(".way a").href;
    else return;
    event.preventDefault();
  });
  say(places.length ? `${places.length} places did not run, or only in part` : "everything ran");
})();
