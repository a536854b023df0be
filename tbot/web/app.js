// The page's own script: what is pressed becomes a POST with the page's own secret, or a display wish over NiceGUI's
// socket. It writes strangers' words as text only. Everything that is drawn by data is made in Python.
(() => {
  "use strict";
  const HOLD_MS = 1500;
  const ASK_MS = 300;
  const two = (number) => String(number).padStart(2, "0");
  const digits = (value, places) => Number(value).toLocaleString("en-US", {
    minimumFractionDigits: places, maximumFractionDigits: places,
  });
  const money = (value) => `${value > 0 ? "+" : value < 0 ? "−" : ""}$${digits(Math.abs(value), 2)}`;
  const make = (name, cls, text) => {
    const element = document.createElement(name);
    if (cls) element.className = cls;
    if (text !== undefined) element.textContent = text;
    return element;
  };
  const safe = (text) => { const box = make("i", "", String(text)); return box.innerHTML; };

  // ------------------------------------------------------------------------------------------ words inside charts
  const tbot = window.tbot = {
    places: 2,
    hour: (stamp) => stamp ? stamp.slice(11) : "",
    price: (value) => digits(value, tbot.places),
    pointed: (axis) => digits(axis.value, tbot.places),
    dollars: (value) => `${value < 0 ? "−" : ""}$${digits(Math.abs(value), 0)}`,
    corner: (point, _params, _dom, _rect, size) => [
      point[0] < size.viewSize[0] / 2 ? size.viewSize[0] - size.contentSize[0] - 90 : 12, 12,
    ],
    tip: (rows) => {
      const candle = rows.find((row) => row.seriesType === "candlestick");
      if (!candle) return "";
      const [, open, close, low, high] = candle.data;
      const volume = rows.find((row) => row.seriesType === "bar");
      const change = close - open;
      const said = rows.filter((row) => row.seriesType === "scatter").map((row) => `<br>${safe(row.name)}`).join("");
      const pairs = [["O", open], ["H", high], ["L", low], ["C", close]];
      return `<b>${safe(candle.name)}</b><br>` + pairs.map(([n, v]) => `${n} ${digits(v, tbot.places)}`).join("  ")
        + `<br>${change >= 0 ? "▲" : "▼"} ${digits(Math.abs(change), tbot.places)}`
        + (volume ? `  vol ${digits(volume.value, 0)}` : "") + said;
    },
    equityTip: (rows) => `${safe(rows[0].name || "start")}<br><b>${money(rows[0].value)}</b>`,
    latencyTip: (rows) => `up to ${safe(rows[0].name)}<br><b>${rows[0].value}</b> of the entries`,
    chart: (name) => getElement(document.querySelector(`[data-chart=${name}]`).id.slice(1)).chart,
  };

  // ------------------------------------------------------------------------------------------- what is looked at
  const wish = (change) => window.emitEvent && emitEvent("tbot_view", change);
  const theme = (name) => {
    document.documentElement.dataset.theme = name;
    localStorage.setItem("tbot-theme", name);
    wish({ theme: name });
  };
  document.documentElement.dataset.theme = localStorage.getItem("tbot-theme") === "light" ? "light" : "dark";
  const choose = (tab) => {
    document.body.dataset.tab = tab;
    for (const button of document.querySelectorAll("[data-go]")) {
      button.setAttribute("aria-selected", String(button.dataset.go === tab));
    }
  };
  document.addEventListener("visibilitychange", () => wish({ visible: !document.hidden }));
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.dataset.symbol) wish({ symbol: button.dataset.symbol });
    else if (button.dataset.timeframe) wish({ timeframe: Number(button.dataset.timeframe) });
    else if (button.dataset.go) choose(button.dataset.go);
    else if (button.dataset.theme) theme(document.documentElement.dataset.theme === "light" ? "dark" : "light");
    else if (button.dataset.act) open_dialog(button.dataset.act);
  });
  tbot.ready = () => {
    choose(document.body.dataset.tab || "positions");
    wish({ theme: document.documentElement.dataset.theme, visible: !document.hidden, narrow: innerWidth < 700 });
  };

  // --------------------------------------------------------------------------------------------- what is commanded
  const WORDS = {
    pause: ["Pause", "No new trades from now on. What is open keeps its stops and targets and stays managed.",
      "Hold to pause"],
    flatten: ["Flatten", "Cancels T-BOT's orders and closes its positions, then takes no new trades. "
      + "What you opened by hand is left alone.", "Hold to flatten"],
    kill: ["Kill switch", "Closes EVERYTHING on the account, yours too, and locks it until the next trading day "
      + "(17:00 Chicago). There is no way back before.", "Hold to close everything and lock"],
    resume: ["Trade again", "A page can stop the engine and cannot start it. In a terminal on this machine:", ""],
  };
  const random = () => [...crypto.getRandomValues(new Uint8Array(16))].map((n) => n.toString(16).padStart(2, "0")).join("");
  const shown = () => document.querySelector("[data-run]")?.dataset ?? {};

  async function command(verb) {
    const answer = await fetch(`/act/${verb}`, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Tbot-Hand": localStorage.getItem("tbot-hand") ?? "" },
      body: JSON.stringify({
        nonce: `${document.body.dataset.life}.${random()}`, sent_ms: Date.now(), mode: shown().mode || null,
        account: shown().account ? Number(shown().account) : null,
      }),
    });
    const told = await answer.json().catch(() => ({ error: `the page was refused (${answer.status})` }));
    if (!answer.ok) throw new Error(told.error);
    return told.job;
  }

  function open_dialog(verb) {
    const [title, what, hold] = WORDS[verb];
    const dialog = make("dialog", `act act-${verb}`);
    dialog.append(make("h2", "", title), make("p", "", what));
    const foot = make("div", "foot");
    const leave = make("button", "plain", "Close");
    leave.type = "button";
    leave.onclick = () => dialog.close();
    if (verb === "resume") {
      dialog.append(make("code", "block", "tbot resume"));
    } else {
      if (verb !== "pause") {
        const open = make("div", "exposure");
        open.innerHTML = document.querySelector("[data-exposure]")?.innerHTML ?? "";  // escaped where it was made
        dialog.append(open);
      }
      foot.append(hold_button(hold, verb, () => run(dialog, verb)));
    }
    foot.append(leave);
    dialog.append(foot);
    dialog.onclose = () => dialog.remove();
    document.body.append(dialog);
    dialog.showModal();
  }

  function hold_button(text, verb, done) {
    const button = make("button", `hold hold-${verb}`);
    button.type = "button";
    button.append(make("i", "fill"), make("span", "", text));
    let since = 0, frame = 0;
    const fill = button.firstChild;
    const stop = () => { since = 0; cancelAnimationFrame(frame); fill.style.width = "0"; };
    const step = () => {
      const share = Math.min(1, (performance.now() - since) / HOLD_MS);
      fill.style.width = `${100 * share}%`;
      if (share < 1) { frame = requestAnimationFrame(step); return; }
      button.disabled = true;
      stop();
      done();
    };
    const start = () => { if (!since && !button.disabled) { since = performance.now(); step(); } };
    button.addEventListener("pointerdown", (event) => { if (event.button === 0) start(); });
    for (const name of ["pointerup", "pointerleave", "pointercancel", "blur"]) button.addEventListener(name, stop);
    button.addEventListener("keydown", (event) => {
      if (event.key === " " || event.key === "Enter") { event.preventDefault(); start(); }
    });
    button.addEventListener("keyup", stop);
    button.addEventListener("contextmenu", (event) => event.preventDefault());
    return button;
  }

  const STEPS = {
    pause: [["requested", "asked"], ["done", "entries are off"]],
    flatten: [["requested", "asked"], ["acknowledged", "the engine has it"], ["flat", "flat: proven by the broker's lists"]],
  };
  STEPS.kill = STEPS.flatten;
  const ENDS = {
    refused: "refused", not_flat: "NOT PROVEN FLAT (code 11): look at the account on the platform NOW",
    failed: "failed: nothing is proven; look at the account on the platform NOW",
  };

  async function run(dialog, verb) {
    dialog.querySelector(".exposure")?.remove();
    dialog.querySelector(".hold").remove();
    const list = make("ol", "steps");
    const log = make("div", "log");
    dialog.querySelector(".foot").before(list, log);
    const show = (job) => {
      const steps = STEPS[verb];
      const reached = Math.max(0, steps.findIndex(([phase]) => phase === job.phase));
      const bad = ENDS[job.phase];
      const known = bad ? (job.acknowledged ? 1 : 0) : reached;
      list.replaceChildren(...steps.map(([, words], at) => make(
        "li", at < known || (at === known && (at < steps.length - 1 || job.over) && !bad) || (bad && at <= known)
          ? "yes" : at === known + 1 && !job.over ? "now" : "", words)));
      if (bad) list.append(make("li", "no", job.text && job.phase !== "not_flat" ? `${bad}: ${job.text}` : bad));
      if (job.over && !bad && job.text) list.append(make("li", "yes", job.text));
      log.replaceChildren(...job.lines.slice(-6).map((line) => make("div", "", line)),
        make("div", "time", `${job.seconds.toFixed(1)} s`));
      dialog.classList.toggle("alarm", job.alarming);
      dialog.dataset.phase = job.phase;
    };
    const give_up = (words) => {
      list.append(make("li", "no", words));
      dialog.classList.add("alarm");
      dialog.dataset.phase = "lost";
    };
    let number;
    try {
      list.append(make("li", "now", "asking"));
      number = await command(verb);
    } catch (error) {
      give_up(error instanceof TypeError
        ? `tbot web does not answer: nothing is known to be done; in a terminal: tbot ${verb}` : error.message);
      return;
    }
    for (let missed = 0; missed < 20;) {
      try {
        const answer = await fetch(`/job/${number}`);
        if (!answer.ok) break;
        const job = await answer.json();
        show(job);
        if (job.over) return;
        missed = 0;
      } catch { missed += 1; }
      await new Promise((resolve) => setTimeout(resolve, ASK_MS));
    }
    give_up(`tbot web fell silent; the command goes on by itself: look at tbot status, or run tbot ${verb} again`);
  }
})();
