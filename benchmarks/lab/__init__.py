"""Code that the benchmarks share: data, peers and their environments, processes, runs, tables and command lines.

This file imports nothing: the peer scripts use :mod:`lab.contract` in environments without scproto.
"""
