"""Feast's stores with what they lack: a correct and fast join, and writes that never go back in time."""
