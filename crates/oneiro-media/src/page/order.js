for (const select of document.querySelectorAll("select[data-orders]")) {
  select.addEventListener("change", () => {
    const grid = document.querySelector("#" + select.dataset.orders + " .grid");
    const number = (figure) => {
      const value = Number(figure.getAttribute("data-key" + select.value));
      return Number.isNaN(value) ? -Infinity : value;
    };
    const figures = [...grid.children];
    // The first order counts up, all others begin with the largest.
    const sign = select.value === "0" ? 1 : -1;
    figures.sort((a, b) => sign * (number(a) - number(b)) || number(b) - number(a));
    grid.append(...figures);
  });
}
