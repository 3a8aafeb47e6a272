// Replaces the state on the page every 5 seconds. The page also works without this script.
"use strict";
const live = document.getElementById("live");

// say changes the text only if it is new, because screen readers read every change.
function say(text, old) {
	if (live.textContent !== text) live.textContent = text;
	document.body.classList.toggle("old", old);
}

async function update() {
	try {
		const response = await fetch(location.href, {signal: AbortSignal.timeout(4000)});
		if (!response.ok) throw new Error(response.statusText);
		const next = new DOMParser().parseFromString(await response.text(), "text/html");
		if (getSelection().isCollapsed) { // A replacement would end the selection of text.
			document.getElementById("state").replaceWith(next.getElementById("state"));
			document.title = next.title;
		}
		say("This page updates itself every 5 seconds.", false);
	} catch {
		say("The director does not reply. The state below is old.", true);
	}
}

setInterval(update, 5000);
update();
