"use strict";
(() => {
  const articles = [...document.querySelectorAll("article")];
  const controls = document.querySelector(".controls");
  const query = document.getElementById("query");
  const openOnly = document.getElementById("open-only");
  const found = document.getElementById("found");
  const drawn = [...document.querySelectorAll(".canvas [data-name]")];
  const texts = new Map();

  function unfold(element) {
    for (let each = element; each; each = each.parentElement) {
      if (each instanceof HTMLDetailsElement) each.open = true;
    }
  }

  function showTarget() {
    let name = location.hash.slice(1);
    try { name = decodeURIComponent(name); } catch { return; }
    const target = document.getElementById(name);
    if (!target) return;
    target.hidden = false;
    unfold(target.matches("article") ? target.querySelector("details") : target);
    target.scrollIntoView();
  }

  function textOf(article) {
    if (!texts.has(article)) texts.set(article, article.textContent.toLowerCase());
    return texts.get(article);
  }

  function search() {
    const wanted = query.value.trim().toLowerCase();
    let number = 0;
    for (const article of articles) {
      const isOpen = article.matches(".bad, .warn");
      article.hidden = (openOnly.checked && !isOpen) || (wanted !== "" && !textOf(article).includes(wanted));
      if (!article.hidden) number += 1;
    }
    for (const each of drawn) {
      each.classList.toggle("hit", wanted !== "" && each.dataset.name.toLowerCase().includes(wanted));
    }
    found.textContent = wanted || openOnly.checked ? `${number} of ${articles.length} shown` : "";
  }

  controls.hidden = articles.length === 0;
  controls.addEventListener("submit", (event) => event.preventDefault());
  query.addEventListener("input", search);
  openOnly.addEventListener("change", search);
  for (const button of controls.querySelectorAll("[data-fold]")) {
    button.addEventListener("click", () => {
      for (const article of articles) article.querySelector("details").open = button.dataset.fold === "open";
    });
  }
  addEventListener("hashchange", showTarget);
  if (location.hash) showTarget();
})();
