"""The handshake of a connection: two state machines, an event in, actions out; no clock, no loop.

**Who speaks first.** Whoever is there first: a listener says hello once to each window that may
call it, a caller sends one probe, and a listener answers a probe with a hello. One of the two is
lost if the other page has not loaded yet; the other one then finds it. Nobody polls.

**What each knows after each step.**

1. The caller heard a hello: the listener's id, its nonce (a secret), and from the browser its
   origin. It makes a data and a control channel and posts the far ends in an *offer*, to exactly
   that origin and id, and without the nonce.
2. The listener got the offer: here is a caller of that origin, which heard this hello. It answers
   on the control port with the *acceptance*, which carries its nonce.
3. The caller got the acceptance: who holds the ports is who said hello, since only that one knows
   the nonce. It is connected, and says so with a *confirm*.
4. The listener got the confirm: the caller is satisfied, and connected. Only now do users' messages
   flow; none was sent to somebody who had merely taken the listener's place.

**The turned direction.** A page of an opaque origin can't be named as a target, so an offer to it
would have to go to ``*``, ports and all, to whatever page is in that window by then. But such a
page can name the other. So if the listener alone is opaque it is the listener who offers: the
caller answers its hello with a probe, the nonce is the caller's, and steps 1 to 4 change sides.
Both can tell, from their own origin and from the browser's word for the other's. Only if both are
opaque does the caller offer to ``*``, and the nonce is all that protects them.

**What a third party could try.** Speak from another window or origin: the browser names both, and
what is not allowed is dropped unread. Navigate the frame between hello and offer: another origin
gets no offer; the same origin does not know the nonce, so its acceptance is refused and both ports
close. Guess a nonce: one guess in 2**128 for each offer, each in a message of its own, so a plain
comparison gives away nothing that could be used. Send an offer again: the id of an attempt is good
for one, until that has ended. Open attempts and let them lie: `accept` has one pending and a few
queued ones, and gives the pending one a few seconds once another waits; `listen` drops its oldest.

**What ends an attempt.** A goodbye to whoever is dropped while pending, so that nobody waits for a
port that closed in silence (no browser tells). A caller that is told so starts again. An accepted
listener is *taken*, and refuses callers until it hears its caller's goodbye. A goodbye and a probe
travel apart, so the probe may come first: a caller whose page has just left that listener probes
once more after a second, and waits for the next hello meanwhile. Every other one fails at once.

**For the shell:** hand in what was heard, after the checks of the window and of types; do the
actions in their order; read the control port of each attempt from its `Offer` or `Adopt` on, and
hand in what comes until `Connected`; from then on it is the shell's, which calls `release` at its
end. The whole wire is in `_connection.wire`.
"""
