// Contents on a phone, copy buttons, and a search that also works in a book opened from a folder (no fetch).
"use strict";
const menu = document.querySelector(".menu");
const sidebar = document.getElementById("sidebar");
menu.addEventListener("click", () => {
  menu.setAttribute("aria-expanded", String(sidebar.classList.toggle("open")));
});
sidebar.addEventListener("click", (event) => {
  if (event.target.closest("a")) sidebar.classList.remove("open");
});

for (const pre of document.querySelectorAll("pre.sourceCode, pre[class]")) {
  const block = document.createElement("div");
  block.className = "block";
  pre.replaceWith(block);
  const button = document.createElement("button");
  button.className = "copy";
  button.type = "button";
  button.textContent = "Copy";
  block.append(pre, button);
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(pre.innerText);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
}
// Whatever scrolls sideways can be reached and scrolled with the keyboard.
const scrolling = () => {
  for (const box of document.querySelectorAll("pre, .equation, .wide, main math, main p, main li")) {
    if (box.scrollWidth > box.clientWidth + 1 && getComputedStyle(box).overflowX === "auto") box.setAttribute("tabindex", "0");
  }
};
scrolling();
window.addEventListener("resize", scrolling);

const query = document.getElementById("query");
const results = document.getElementById("results");
const index = () => new Promise((resolve) => {
  if (window.bookIndex) return resolve(window.bookIndex);
  const script = document.createElement("script");
  script.src = window.bookRoot + "assets/search.js";
  script.onload = () => resolve(window.bookIndex);
  document.head.append(script);
});
const escaped = (text) => text.replace(/[&<>]/g, (mark) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;" })[mark]);

function excerpt(text, words) {
  const at = Math.max(0, text.toLowerCase().indexOf(words[0]) - 50);
  let shown = escaped((at ? "… " : "") + text.slice(at, at + 140) + " …");
  for (const word of words) {
    const pattern = escaped(word).replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
    shown = shown.replace(new RegExp(`(${pattern})(?![^<]*>)`, "gi"), "<mark>$1</mark>");
  }
  return shown;
}

async function search() {
  const words = query.value.toLowerCase().split(/\s+/).filter((word) => word.length > 1);
  if (!words.length) { results.replaceChildren(); return; }
  const found = [];
  for (const [page, anchor, title, text] of await index()) {
    const heading = title.toLowerCase(), body = text.toLowerCase();
    if (!words.every((word) => heading.includes(word) || body.includes(word))) continue;
    const score = words.reduce((sum, word) => sum + (heading.includes(word) ? 20 : 0) + Math.min(9, body.split(word).length - 1), 0);
    found.push({ page, anchor, title, text, score });
  }
  found.sort((one, other) => other.score - one.score);
  results.innerHTML = found.slice(0, 12).map(({ page, anchor, title, text }) =>
    `<li><a href="${window.bookRoot}${page}${anchor ? "#" + anchor : ""}"><strong>${escaped(title)}</strong><span>${excerpt(text, words)}</span></a></li>`
  ).join("") || "<li>Nothing found.</li>";
}
query.addEventListener("input", search);
query.form.addEventListener("submit", (event) => {
  event.preventDefault();
  results.querySelector("a")?.click();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && !/^(input|textarea)$/i.test(event.target.tagName)) { event.preventDefault(); query.focus(); }
  if (event.key === "Escape") { query.value = ""; results.replaceChildren(); sidebar.classList.remove("open"); }
});
