"""How what arrived differs from what it should be, also in what is shared."""

import array

from pyodide_msgchan import RemoteError


class Kept:
    """Expected: a JsProxy of what Python can't hold."""

    def __init__(self, tag):
        self.tag = tag

    def __repr__(self):
        return f"<JavaScript {self.tag}>"


class Fault:
    """Expected: an error of JavaScript, which is the built-in of that meaning too."""

    def __init__(self, name, builtin, message):
        self.name, self.builtin, self.message = name, builtin, message

    def __repr__(self):
        return f"<{self.name} {self.message!r}>"

    def fits(self, error):
        return isinstance(error, self.builtin or RemoteError) and (error.name, error.message) == (
            self.name,
            self.message,
        )


class Same:
    """Expected: an exception of Python as it was."""

    def __init__(self, error):
        self.error = error

    def __repr__(self):
        return repr(self.error)

    def fits(self, error):
        return isinstance(error, type(self.error)) and error.args == self.error.args


class Comparison:
    """Compares what arrived, part by part.

    Args:
        tag: gives the name of what arrived as a JsProxy.
    """

    def __init__(self, tag=None):
        self.tag = tag
        self.ours, self.theirs = {}, {}

    def shared(self, one, other, where):
        if isinstance(other, (list, tuple, set, frozenset)) and not other:
            return ""  # Python has but one empty tuple, and one empty frozenset
        if self.theirs.setdefault(id(one), id(other)) != id(other):
            return f"{where} is shared and should not be"
        if self.ours.setdefault(id(other), id(one)) != id(one):
            return f"{where} is not shared and should be"
        return ""

    def look(self, one, other, where="it"):
        """Give what is different, or ""."""
        wrong = f"{where} is {one!r:.200}, not {other!r:.200}"
        if isinstance(other, Kept):
            return "" if self.tag and self.tag(one) == other.tag else wrong
        if isinstance(other, (Fault, Same)):
            fits = isinstance(one, RemoteError) and other.fits(one)
            return self.shared(one, other, where) if fits else wrong
        if type(one) is not type(other):
            return wrong
        if isinstance(other, (memoryview, array.array)):
            return self.shared(one, other, where) if _buffer(one) == _buffer(other) else wrong
        if isinstance(other, (list, tuple, dict)):
            return self.look_inside(one, other, where)
        if isinstance(other, (set, frozenset)):
            return self.shared(one, other, where) if _members(one) == _members(other) else wrong
        return "" if repr(one) == repr(other) else wrong  # which tells 0.0 from -0.0

    def look_inside(self, one, other, where):
        known = id(other) in self.ours
        if (text := self.shared(one, other, where)) or known:
            return text
        if len(one) != len(other):
            return f"{where} has {len(one)} items, not {len(other)}"
        pairs = zip(*map(_items, (one, other)), strict=True)
        for (key, item), (name, wanted) in pairs:
            text = self.look(key, name, f"a key of {where}")
            if text := text or self.look(item, wanted, f"{where}[{key!r:.40}]"):
                return text
        return ""


def _items(value):
    return value.items() if isinstance(value, dict) else enumerate(value)


def _buffer(value):
    view = memoryview(value)
    return view.format, view.shape, view.tobytes()


def _members(value):
    """Give the members of a set in an order and a form that can be compared."""
    return sorted(
        str(_members(one)) if isinstance(one, (frozenset, tuple)) else f"{type(one)} {one!r}"
        for one in value
    )
