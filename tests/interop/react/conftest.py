"""What do the browser tests of built apps share? How long they may take on a busy machine."""

from playwright.sync_api import expect

# An upper bound, not a wait.
expect.set_options(timeout=20_000)
