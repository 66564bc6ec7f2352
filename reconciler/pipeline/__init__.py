"""The whole run, top to bottom; beside ``cli`` the only place that sees every part.

    manifests -> desired ---+
    vendor    -> live ------+--> planner -> plan -> applier -> outcomes -> runner -> gates -> verdicts
    store     -> state -----+

A command opens a ``session`` and calls a function of ``planning``, ``applying``, ``measuring``, ``checking``,
``exporting`` or ``mending`` with it; what it prints is the command's business.
"""
