"""Benchmarks: which pictures are needed, painting the missing ones, and the scores they give."""
