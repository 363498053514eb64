"""The handshake of a connection: two pure state machines that take events and return actions.

The *initiator* is the side that calls `connect`, the *responder* the side that calls `accept` or
`listen`. The machines own no clock, no event loop and no window; `_connection.driver` drives them.

**Who speaks first.** The side that starts first. A responder posts one hello to each window that
may connect to it, an initiator posts one probe, and a responder answers a probe with a hello. If
the other page has not loaded yet, the first announcement is lost; the later side's announcement
then arrives. Neither side polls.

**What each side knows after each step.**

1. The initiator received a *hello*. It knows the responder's id and nonce (a secret), and from the
   browser its origin. It makes a data and a control channel and posts their far ends in an *offer*
   to exactly that origin and id. The offer does not contain the nonce.
2. The responder received the offer. It knows that an initiator of that origin received its hello.
   It sends the *acceptance*, which contains its nonce, on the control port.
3. The initiator received the acceptance. Only the side that sent the hello knows the nonce, so
   that side holds the ports. The initiator is connected and sends a *confirm*.
4. The responder received the confirm. It knows that the initiator checked the nonce, and it is
   connected. Users' messages flow only from here on, so none goes to a page that took the
   responder's place.

**Reversed roles.** A page of an opaque origin can't be named as a target. An offer to it would go
to ``*``, so whichever page is in that window by then would get the ports. But such a page can name
the other side. So if only the responder is opaque, the responder offers: the initiator answers its
hello with a probe, the nonce is the initiator's, and the sides of steps 1 to 4 are exchanged. Each
side knows this from its own origin and from the origin that the browser reports for the other. If
both sides are opaque, the initiator offers to ``*``, and only the nonce protects the connection.

**What a third party could try.**

- Post from another window or origin. The browser reports both, and what is not allowed is dropped
  before its data is read.
- Navigate the frame between hello and offer. A page of another origin does not get the offer. A
  page of the same origin does not know the nonce, so its acceptance is refused and both ports
  close.
- Guess a nonce. One guess in 2**128 is right, each offer allows one guess, and each guess is a
  message of its own, so a plain comparison leaks no timing that could be used.
- Repeat an offer. An initiator's id is good for one attempt until that attempt has ended.
- Open attempts and leave them unfinished. `accept` has one pending attempt and a short queue; once
  another initiator waits, the pending one has a few seconds to confirm. `listen` drops its oldest
  pending attempt when there are too many.

**What ends an attempt.** A side that drops a pending attempt sends a goodbye, since browsers don't
report that a port was closed. An initiator that receives it starts again. An offer may be under way
when its responder ends, so a responder that ends posts a goodbye to the windows to which it
announced itself: an initiator that followed its hello starts again too, and finds any other
responder in that window (a second runtime in the page may have one). An `accept` that has a
connection is *taken*, and refuses initiators until it receives the goodbye of its peer. A goodbye
and a probe travel by different ways, so the probe may arrive first. An initiator whose page has
just closed a connection to that responder therefore probes once more after a second, and meanwhile
waits for the next hello. Every other initiator fails at once.

**What the driver must do.** Pass in every window message that passed the checks of its source,
origin and types; carry out the returned actions in their order; read the control port of each
attempt from its `Offer` or `Adopt` action on, and pass in its messages until `Connected`. From then
on the connection owns the port, and the driver calls `release` when it ends. The whole wire is
described in `_connection.wire`.
"""
