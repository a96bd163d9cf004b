"use strict";
addEventListener("DOMContentLoaded", () => {
  // What is wider than its place can be reached, and moved, by keyboard.
  const wide = new ResizeObserver((entries) => {
    for (const { target } of entries)
      if (target.scrollWidth > target.clientWidth + 1) target.tabIndex = 0;
      else target.removeAttribute("tabindex");
  });
  document.querySelectorAll("pre, .table-wrapper").forEach((element) => wide.observe(element));

  // What Furo's landmarks and headings do not say to screen readers.
  const say = (selector, attribute, value) =>
    document.querySelectorAll(selector).forEach((found) => found.setAttribute(attribute, value));
  say(".sidebar-drawer", "aria-label", "pages");
  say(".toc-drawer", "aria-label", "this page");
  say(".caption[role=heading]", "aria-level", "2");
  document.querySelectorAll("th").forEach((head) => {
    if (head.textContent.trim() === "") head.setAttribute("role", "presentation");
  });
});
