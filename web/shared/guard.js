// Says so when the page's modules can't even be loaded. A classic script, since those need neither
// a browser with modules nor a server that lets sandboxed frames (origin "null") read its files.
addEventListener(
  "error",
  function (event) {
    var script = /** @type {HTMLScriptElement | null} */ (event.target);
    if (!script || script.tagName !== "SCRIPT") return;
    var show = function () {
      var words = document.createElement("p");
      words.className = "notice bad";
      words.setAttribute("role", "alert");
      words.textContent =
        location.protocol === "file:"
          ? "Browsers load no modules from files. Serve this folder over HTTP: ./build.sh serve"
          : "A script could not be loaded: " +
            script.getAttribute("src") +
            ". In a sandboxed frame the server must send “Access-Control-Allow-Origin: *”.";
      document.body.append(words);
      document.body.dataset.state = "failed";
    };
    if (document.body) show();
    else addEventListener("DOMContentLoaded", show);
  },
  true, // a script's error event does not bubble
);
