"""Unpaired translation of rendered pictures into photographs."""
