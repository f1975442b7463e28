addEventListener("error", function (event) {
  document.documentElement.setAttribute("data-error", event.message || "a part of the page did not load");
}, true);