"""Traces by OpenTelemetry: the spans that a process makes, and how they are handed on.

Off unless the environment names a collector (`starting`). Other modules ask `starting.tracer()`.
"""
