// The card that every participant shows: its progress while it loads, then a log of messages, the
// last picture that came, and a form to send from. It knows nothing of ports.
import { label } from "../shared/names.mjs";

const CARD = `
  <header class="who">
    <h2></h2>
    <p class="runtime"></p>
    <p class="origin"></p>
  </header>
  <div class="loading">
    <progress max="1" value="0"></progress>
    <p class="phase">Waiting</p>
  </div>
  <div class="failure" role="alert" hidden></div>
  <ol class="log" role="log" aria-label="Messages" tabindex="0"></ol>
  <form autocomplete="off">
    <label class="to"><span>To</span> <select name="to"></select></label>
    <label class="text"><span class="hidden">Message</span>
      <input name="text" placeholder="Write a message" maxlength="400" enterkeyhint="send">
    </label>
    <button type="submit" name="send">Send</button>
  </form>
  <figure class="picture">
    <canvas width="160" height="120" role="img" aria-label="No picture yet"></canvas>
    <div>
      <figcaption>No picture yet</figcaption>
      <button type="button" class="quiet" name="picture">Send picture</button>
    </div>
  </figure>`;
const KEPT = 100; // lines of the log

/**
 * Fill an element with the card of one participant.
 *
 * The owner sets `onsend(to, text)` and `onpicture(to)`, where `to` is an array of names.
 */
export function createPanel(root, name) {
  root.innerHTML = CARD;
  root.classList.add("panel");
  root.dataset.name = name;
  root.dataset.state = "loading";
  const find = (selector) => root.querySelector(selector);
  const [log, form, canvas] = [find(".log"), find("form"), find("canvas")];
  find("h2").textContent = label(name);
  find(".origin").textContent = self.origin === "null" ? "opaque origin" : self.origin;
  find("progress").setAttribute("aria-label", `${label(name)}: loading`);
  const rendering = new Set(); // numbers of the host's pictures that are computed here
  const picture = find("[name=picture]");
  const controls = [...form.elements, picture];
  for (const control of controls) control.disabled = true;

  const panel = {
    onsend: null,
    onpicture: null,

    progress(share, phase) {
      find("progress").value = share;
      find(".phase").textContent = phase;
    },

    ready(runtime) {
      root.dataset.state = "ready";
      find(".runtime").textContent = runtime;
      log.dataset.empty = "Waiting for the others";
    },

    fail(words, detail) {
      root.dataset.state = "failed";
      const failure = find(".failure");
      failure.hidden = false;
      failure.replaceChildren(element("p", words));
      if (detail) {
        const more = element("details");
        more.append(element("summary", "What the browser says"), element("pre", detail));
        failure.append(more);
      }
    },

    began(number) {
      rendering.add(number);
      showRendering();
    },
    ended(number) {
      rendering.delete(number);
      showRendering();
    },

    peers(names) {
      const { to } = form.elements;
      const before = to.value;
      to.replaceChildren(new Option("Everyone", "*"), ...names.map((n) => new Option(label(n), n)));
      if (names.includes(before)) to.value = before;
      for (const control of controls) control.disabled = names.length === 0;
      log.dataset.empty = names.length ? "Nothing yet" : "Nobody is here to talk to";
    },

    received: (from, text) => line("received", from, text),
    sent: (to, text, ms) => line("sent", to.length > 1 ? "*" : to[0], text, time(ms)),
    trouble: (to, words) => line("trouble", to, words),
    note: (about, words) => line("note", about, words),

    draw(from, width, height, pixels) {
      const image = new ImageData(new Uint8ClampedArray(pixels), width, height);
      Object.assign(canvas, { width, height });
      canvas.getContext("2d").putImageData(image, 0, 0);
      canvas.dataset.from = from;
      canvas.setAttribute("aria-label", `Picture from ${label(from)}`);
      find("figcaption").replaceChildren(
        nameTag(from),
        element("span", `${width} × ${height}, ${Math.round(pixels.length / 1000)} kB`),
      );
    },
  };

  function showRendering() {
    root.dataset.rendering = [...rendering].join(" ");
  }

  function line(kind, other, text, note = "") {
    const row = element("li");
    Object.assign(row.dataset, { kind, other });
    const direction = element("span", { received: "from", note: "" }[kind] ?? "to");
    direction.className = "hidden";
    const words = element("span", text);
    words.className = "words";
    row.append(element("small", note), direction, nameTag(other), " ", words);
    log.append(row);
    while (log.children.length > KEPT) log.firstChild.remove();
    log.scrollTop = log.scrollHeight;
  }

  const chosen = () => {
    const options = [...form.elements.to.options].map((option) => option.value);
    const { value } = form.elements.to;
    return value === "*" ? options.slice(1) : [value];
  };
  // A sandboxed frame may not submit forms, and gets no event for the attempt. The click on the
  // button, which browsers make for the Enter key too, comes before that.
  form.elements.send.addEventListener("click", (event) => {
    event.preventDefault();
    const { text } = form.elements;
    if (text.value.trim() === "") return;
    panel.onsend?.(chosen(), text.value.trim());
    text.value = "";
  });
  picture.addEventListener("click", () => panel.onpicture?.(chosen()));
  return panel;
}

const time = (ms) => `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;

function element(kind, text = "") {
  const made = document.createElement(kind);
  made.textContent = text;
  return made;
}

function nameTag(name) {
  const tag = element("b", label(name));
  tag.dataset.name = name;
  return tag;
}
