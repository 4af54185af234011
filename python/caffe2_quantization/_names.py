"""What to say of a name that nobody knows."""

import difflib
import inspect


def hint(name, known):
    """Returns " (did you mean 'x'?); there are: …", the first part if one is near."""
    near = difflib.get_close_matches(str(name), known, n=1)
    return "%s; there are: %s" % (" (did you mean '%s'?)" % near[0] if near else "",
                                  ", ".join(known))


def check_options(function, options, known, others=None):
    """Raises TypeError for an option that a function does not have.

    Args:
        function: the function; its own parameters are known.
        options: a dict, what its ``**options`` got.
        known: the names of the options that it takes so.
        others: a dict from a name to what is to be done in place of such an option.
    """
    parameters = inspect.signature(function).parameters.values()
    known = [each.name for each in parameters if each.kind != each.VAR_KEYWORD] + list(known)
    for name in options:
        if name not in known:
            advice = ("; " + others[name] if others and name in others
                      else hint(name, known))
            raise TypeError("%s() has no option '%s'%s" % (function.__name__, name, advice))
