"""The walk through history: trained as of each week, scored on it, beside what is live.

What a DAG file needs is imported from `weeks`, which imports nothing heavy; the rest from `walk` and `report`.
"""
