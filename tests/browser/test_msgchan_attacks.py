"""Hostile pages against msgchan.mjs: each attack arrives, and nothing comes of it."""

import pytest

#: In an attacking frame: `say` posts to the parent, `offer` with as many ports as are asked for.
RAW = """
globalThis.heard = [];
globalThis.controls = [];
globalThis.waiting = [];
globalThis.say = (type, fields, ports = []) =>
    parent.postMessage({ msgchan: 1, type, name: "", id: "attacker", nonce: "its own", loaded: -1,
        ...fields }, { targetOrigin: "*", transfer: ports });
globalThis.listen = (port) => {
    port.heard = [];
    port.onmessage = ({ data }) => {
        port.heard.push(data);
        waiting.forEach((check) => check());
    };
    return port;
};
globalThis.until = (condition) => new Promise((resolve) => {
    const check = () => condition() && resolve();
    waiting.push(check);
    check();
});
globalThis.offer = (count, fields) => {
    const channels = Array.from({ length: count }, () => new MessageChannel());
    say("offer", { to: heard.at(-1).id, ...fields }, channels.map(({ port2 }) => port2));
    const ports = channels.map(({ port1 }) => listen(port1));
    controls.push(ports[1]);
    return ports;
};
addEventListener("message", ({ data, ports }) => {
    if (!data?.msgchan) return;
    heard.push(data);
    if (ports.length) controls.push(listen(ports[1]));
    waiting.forEach((check) => check());
});
"""
#: In the host: the frame with that, and a plain listener that counts what arrives.
ATTACKER = f"""
const peer = openPeer(...arguments);
await peer.run({RAW!r});
const arrived = [];
addEventListener("message", ({{ data, ports }}) => {{
    if (data?.msgchan !== undefined) arrived.push([data.type, ports.length]);
}});
const about = "{{ runtime: 'evil', version: '0', capabilities: [], loaded: -1 }}";
const {{ origin }} = peer;
"""


@pytest.mark.parametrize("count", [0, 1, 3, 40])
def test_offer_with_another_number_of_ports(host, count):
    code, arrived, answers = host(
        f"""
        const [, , count] = arguments;
        {ATTACKER}
        const taking = failure(accept({{ source: peer.target, origin, timeout: 0.5 }}));
        await peer.run("await until(() => heard.length); offer(args[0]);", count);
        const {{ code }} = await taking;
        return [code, arrived, await peer.run("return controls.map((port) => port?.heard)")];
        """,
        "cross-site",
        count,
    )
    assert code == "timeout"
    assert arrived == [["offer", count]]
    assert answers == [[] if count > 1 else None]


def test_replayed_offer(host):
    arrived, answers, got = host(
        f"""
        {ATTACKER}
        const taking = accept({{ source: peer.target, origin }});
        await peer.run(`
            await until(() => heard.length);
            const [data, control] = offer(2);
            globalThis.port = data;
            offer(2);
            await until(() => control.heard.length);
            control.postMessage({{ type: "confirm", ...${{about}} }});
            offer(2);
        `);
        const connection = await taking;
        const got = collect(connection.port, 1);
        await peer.run("port.postMessage('the first')");
        const answers = await peer.run(`
            offer(2, {{ id: "another" }});
            await until(() => controls[3].heard.length);
            return controls.map(({{ heard }}) => heard.map(({{ type }}) => type));
        `);
        return [arrived, answers, await got];
        """,
        "cross-site",
    )
    assert arrived == [["offer", 2]] * 4
    assert answers == [["acceptance"], [], [], ["refusal"]]
    assert got == ["the first"]


@pytest.mark.parametrize("nonce", ["'guessed'", "''", "undefined", "null", "['its own']"])
def test_acceptance_with_a_forged_nonce(host, nonce):
    code, arrived, answer, later = host(
        f"""
        const [, , nonce] = arguments;
        {ATTACKER}
        const waiting = failure(connect(peer.target, {{ origin, timeout: 0.5 }}));
        const answer = await peer.run(`
            say("hello");
            await until(() => controls.length);
            controls[0].postMessage({{ type: "acceptance", nonce: ${{nonce}}, ...${{about}} }});
            await until(() => controls[0].heard.length);
            return controls[0].heard;
        `);
        const {{ code }} = await waiting;
        return [code, arrived, answer, await peer.run("return controls.length")];
        """,
        "cross-site",
        nonce,
    )
    assert code == "timeout"
    assert arrived == [["hello", 0]]
    assert answer == [{"type": "refusal", "reason": "nonce"}]
    assert later == 1


@pytest.mark.parametrize("nonce", ["''", "undefined", "1", "'x'.repeat(201)"])
def test_hello_without_a_secret_gets_no_offer(host, nonce):
    code, arrived, offers = host(
        f"""
        const [, , nonce] = arguments;
        {ATTACKER}
        const waiting = failure(connect(peer.target, {{ origin, timeout: 0.3 }}));
        await peer.run(`say("hello", {{ nonce: ${{nonce}} }})`);
        const {{ code }} = await waiting;
        return [code, arrived, await peer.run("return controls.length")];
        """,
        "cross-site",
        nonce,
    )
    assert (code, arrived, offers) == ("timeout", [["hello", 0]], 0)


def test_malformed_messages_are_dropped_and_the_next_is_heard(host):
    arrived, runtime = host(
        f"""
        {ATTACKER}
        const connecting = connect(peer.target, {{ origin }});
        await peer.run(`
            const all = [null, undefined, 1, "text", [], {{}}, new Map(), new Error("e")];
            for (const data of all) parent.postMessage(data, "*");
            const versions = ["1", 1.5, null, true, 1n, {{}}, [1]];
            for (const msgchan of versions) say("hello", {{ msgchan }});
            for (const name of [undefined, null, 1, "other", ["x"]]) say("hello", {{ name }});
            const types = [undefined, null, {{}}, "hell", "offer", "x".repeat(1e6)];
            for (const type of types) say(type);
            for (const id of [undefined, "", 1, {{}}, "x".repeat(201)]) say("hello", {{ id }});
            for (const to of ["another", 1, {{}}, ""]) say("hello", {{ to }});
            say("refusal", {{ reason: "taken" }});
            say("refusal", {{ to: "another", reason: "taken" }});
            say("refusal", {{ to: heard[0]?.id, reason: "odd" }});
            const evil = JSON.parse('{{"__proto__": {{"msgchan": 1, "type": "hello"}}}}');
            parent.postMessage(evil, "*");
        `);
        const count = arrived.length;
        await peer.run(`
            say("hello");
            await until(() => controls.length);
            const [control] = controls;
            const good = {{ type: "acceptance", nonce: "its own", ...${{about}} }};
            const bad = [null, 1, {{}}, {{ type: {{}} }}, {{ type: "ping" }}];
            bad.push({{ type: "farewell" }}, {{ ...good, type: "confirm" }});
            bad.push({{ ...good, capabilities: [1] }});
            bad.push({{ ...good, version: undefined }}, {{ ...good, runtime: "x".repeat(201) }});
            for (const data of [...bad, good]) control.postMessage(data);
        `);
        return [count, (await connecting).peer.runtime];
        """,
        "cross-site",
    )
    assert arrived == 30
    assert runtime == "evil"


@pytest.mark.parametrize("call", ["connect", "accept"])
def test_other_version(host, call):
    result, answer = host(
        f"""
        const [, , call] = arguments;
        {ATTACKER}
        if (call === "connect") {{
            const waiting = failure(connect(peer.target, {{ origin, timeout: 60 }}));
            await peer.run("say('hello', {{ msgchan: 2 }})");
            const {{ code, message }} = await waiting;
            return [[code, message], null];
        }}
        const taking = failure(accept({{ source: peer.target, origin, timeout: 0.5 }}));
        const answer = await peer.run(`
            await until(() => heard.length);
            say("probe", {{ msgchan: 2 }});
            await until(() => heard.length > 1);
            const {{ msgchan, type, to, reason }} = heard[1];
            return [msgchan, type, to, reason];
        `);
        const {{ code }} = await taking;
        return [[code], answer];
        """,
        "cross-site",
        call,
    )
    if call == "connect":
        assert result == ["version", "this side speaks version 1, the other 2"]
    else:
        assert result == ["timeout"]
        assert answer == [1, "refusal", "attacker", "version"]


def test_stranger_is_passed_over(host, pages):
    """A flood from another window of an allowed origin: the connection beside it is made."""
    count, got = host(
        f"""
        {ATTACKER}
        const good = openPeer(arguments[0], arguments[1]);
        await good.run(`
            globalThis.offers = 0;
            addEventListener("message", ({{ data }}) => (offers += data.type === "offer"));
        `);
        const connecting = connect(good.target, {{ origin }});
        await peer.run("for (let i = 0; i < 10000; i++) say('hello', {{ id: 'i' + i }})");
        await good.run("globalThis.taking = accept({{ origin: args[0] }})", self.origin);
        const {{ port }} = await connecting;
        const got = collect(port, 1);
        await good.run("(await taking).port.postMessage('good')");
        const offers = await good.run("return offers");
        return [arrived.filter(([type]) => type === "hello").length, [...await got, offers]];
        """,
        "cross-site",
    )
    assert count == 10001  # and the good one's
    assert got == ["good", 1]  # no offer answered a stranger


def test_queued_rivals_are_bounded_and_the_patient_one_goes_on(host):
    """A caller that never confirms holds the others up for 5 seconds, no longer."""
    types, got = host(
        f"""
        {ATTACKER}
        const taking = accept({{ source: peer.target, origin }});
        await peer.run("await until(() => heard.length);" +
            "for (let i = 0; i < 12; i++) offer(2, {{ id: 'id' + i }});" +
            "await until(() => controls[11].heard.length);");
        await peer.run(`
            await until(() => controls[1].heard.length);
            controls[1].postMessage({{ type: "confirm", ...${{about}} }});
            await until(() => controls[8].heard.length);
        `);
        const {{ peer: {{ runtime }} }} = await taking;
        const types = await peer.run(`
            return controls.map(({{ heard }}) => heard.map(({{ type }}) => type).join());
        `);
        return [types, runtime];
        """,
        "cross-site",
    )
    taken = ["refusal"]
    assert types == ["acceptance,goodbye", "acceptance", *taken * 10]
    assert got == "evil"
