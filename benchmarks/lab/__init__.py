"""What the three programs share: data, peers and their environments, processes, runs, tables and command lines.

Nothing is imported here: the scripts of the peers use :mod:`lab.contract` in environments that have no scproto.
"""
