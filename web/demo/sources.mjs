// Shows the files that the page is made of, as they are served.

/** Fill each details element with the file that its `data-source` names, once it is opened. */
export function showSources(all) {
  for (const details of all) {
    details.addEventListener("toggle", () => void fill(details), { once: true });
  }
}

async function fill(details) {
  const code = document.createElement("code");
  const block = document.createElement("pre");
  block.tabIndex = 0;
  block.append(code);
  details.append(block);
  try {
    const response = await fetch(details.dataset.source);
    if (!response.ok) throw new Error(`${response.status}`);
    code.textContent = await response.text();
  } catch (error) {
    code.textContent = `It could not be fetched: ${error.message}`;
  }
}
